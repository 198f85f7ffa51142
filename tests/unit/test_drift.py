# ruff: noqa: RUF001  (letters of other alphabets are meant)
"""Text in another language than expected is noticed and said; names and loan words are not."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.drift import drifts
from core.language_profiles import alike, known, shares
from core.model import Word
from core.render.languages import language_name

TEXTS = {
    "en": (
        "So what I wanted to say is that we have been waiting for the new machine since the spring, and "
        "nobody could tell us when it would be here. They said it was on the ship, then it was in the "
        "harbour, and now it is somewhere on the road. If you ask me, we should just go on with the old "
        "one for a while, because it still works well enough, and then we can look at it again in the "
        "summer when there is more time."
    ),
    "de": (
        "Also ich glaube, wir sollten das noch einmal in Ruhe ansehen, bevor wir dem Kunden etwas "
        "schicken. Die Zahlen aus dem letzten Monat sind zwar da, aber sie passen nicht zu dem, was wir im "
        "Frühling gesagt haben. Und wenn er dann fragt, woher das kommt, haben wir keine gute Antwort. Ich "
        "rufe heute bei ihm an und sage, dass es eine Woche später wird, und ihr macht bis dahin die "
        "Rechnung fertig."
    ),
    "es": (
        "Bueno, lo que pasa es que todavía no tenemos la respuesta del banco, y sin eso no podemos empezar "
        "con la obra. Yo hablé ayer con la señora de la oficina y me dijo que esta semana nos llaman, pero "
        "ya sabes cómo es eso. Si el viernes no hay nada, vamos nosotros allí y preguntamos. También hay "
        "que decir a los vecinos que la calle va a estar cerrada dos días, porque si no se enfadan con "
        "nosotros."
    ),
    "fr": (
        "Alors moi je pense que nous avons trop attendu, et que maintenant il faut le dire à tout le "
        "monde. Ce n'est pas une question d'argent, c'est une question de temps, et le temps, on ne l'a "
        "plus. Si vous êtes d'accord, je prépare une lettre pour les parents et on la lit ensemble demain "
        "matin. Et puis il y a aussi la salle qui est trop petite, mais ça, je ne sais pas comment on va "
        "faire."
    ),
    "it": (
        "Allora, io direi di cominciare con la cosa più facile, che è la lista degli ospiti, e poi vediamo "
        "quanto tempo ci resta. Mia sorella ha già parlato con quelli della sala e hanno detto che non c'è "
        "nessun problema per la musica, ma che dopo le undici bisogna fare piano. Il vino lo porta lui, "
        "come sempre, e noi pensiamo al pane e a tutto quello che serve per la sera."
    ),
    "pt": (
        "Então, o que eu queria dizer é que não vamos conseguir acabar isto antes do fim do mês, porque "
        "ainda falta a parte da água e da luz. O senhor que faz isso está doente e só volta na outra "
        "semana. Eu já falei com ele e ele disse que vem logo que pode. Também temos de ver quem fica com "
        "as chaves, porque não podemos deixar a porta aberta para toda a gente que passa na rua."
    ),
    "nl": (
        "Nou, ik denk dat we het zo moeten doen: eerst gaan we met z'n allen naar de zaal om te kijken hoe "
        "groot die is, en dan maken we een plan voor de stoelen. Ik heb gehoord dat er vorig jaar te "
        "weinig plaats was en dat mensen achter in de gang moesten staan. Dat wil ik niet meer. En het "
        "geluid moet ook beter, want als je achterin zit kun je er niets van verstaan."
    ),
    "pl": (
        "No więc ja myślę, że to nie jest dobry czas na taką zmianę, bo wszyscy są teraz bardzo zajęci i "
        "nikt nie będzie miał na to siły. Może lepiej poczekać do jesieni, jak już będzie po wszystkim. Ja "
        "mogę w tym czasie przygotować to, co jest potrzebne, i wtedy od razu zaczniemy. Ale jeśli wy "
        "chcecie już teraz, to powiedzcie, bo ja nie chcę, żeby potem było, że to przeze mnie."
    ),
    "sv": (
        "Ja, det som jag har tänkt på är att vi måste bestämma oss för ett datum nu, för annars blir det "
        "inte av. Jag vet att några av er inte kan på helgen, men det är den enda dagen när alla andra är "
        "lediga. Vi kan också göra det på kvällen, men då hinner vi inte med allt. Vad säger ni om det? "
        "Och så är det någon som måste ringa till dem som har huset och fråga om vi får vara där."
    ),
    "ru": (
        "Ну вот, я вчера была у них в конторе, и они мне сказали, что бумаги ещё не готовы и что надо "
        "подождать до понедельника. Я говорю, как же так, мы же договорились. А они только руками "
        "разводят. Так что я не знаю, что теперь делать. Может быть, ты сам туда позвонишь, тебя они "
        "послушают. А если нет, то мы поедем туда вместе, и пусть они при нас всё это сделают."
    ),
    "uk": (
        "Ну от, я думаю, що нам треба ще раз про це поговорити, бо так воно далі не піде. Вони кажуть "
        "одне, а роблять зовсім інше, і ми потім за це відповідаємо. Якщо ви не проти, я сьогодні їм "
        "напишу і скажу, що ми чекаємо тільки до п'ятниці. А потім будемо шукати когось, хто це зробить "
        "краще. Я вже маю на думці одну людину, вона якраз зараз має час."
    ),
    "ja": (
        "それでは今日の会議を始めたいと思います。まず先週の売り上げについてですが、思ったよりも良くありませ"
        "んでした。理由はいくつかあると思いますが、一番大きいのは天気だと思います。雨の日が多くて、お客さん"
        "があまり来ませんでした。来週からは新しい商品が入りますので、少しずつ良くなると思います。みなさんの"
        "考えも聞かせてください。何か質問はありますか。それから夏休みの予定についても、あとで話をしたいと思"
        "いますので、よろしくお願いします。駅前の店をどうするかという話もまだ残っています。"
    ),
    "zh": (
        "好，那我们今天先说一下上个月的情况。上个月来的人比我们想的要少，主要是因为下雨，很多人不愿意出门。"
        "这个月天气好了，应该会好一些。我想请大家说说自己的看法，看看还有什么办法可以让更多的人知道我们的店"
        "。另外，新来的同事下个星期开始上班，请大家多帮助他。他住得比较远，所以早上可能会晚一点到。还有一件"
        "事，就是夏天放假的时间，我们要在月底以前定下来，不然就来不及安排了。如果大家没有别的意见，我们就这"
        "样决定，回头我再写一个通知发给每个人，好不好？"
    ),
    "ar": (
        "طيب، أنا أعتقد أن هذا الأمر يحتاج إلى وقت أكثر، لأن الناس الذين تكلمنا معهم في الأسبوع الماضي لم "
        "يفهموا ما هو المطلوب منهم. يعني هم قالوا نعم، ولكن لا أحد منهم بدأ العمل حتى الآن. إذا كان هناك "
        "من يعرف أحدا في هذه المدينة فأنا أريد أن أتكلم معه قبل نهاية الشهر، وبعد ذلك نحن نقرر كل شيء على "
        "أساس ما سمعنا. وهذا هو كل ما عندي في هذا الموضوع."
    ),
}

PAIRS = [(one, other) for one, other in itertools.permutations(TEXTS, 2) if not alike(one, other)]


def spoken(*texts: str, pace: float = 2.5) -> list[Word]:
    """The words of the texts one after another. Scripts without spaces come as two characters a word."""
    words = [
        piece
        for text in texts
        for word in text.split()
        for piece in ([word] if word[0] < "\u3000" else [word[at : at + 2] for at in range(0, len(word), 2)])
    ]
    return [
        Word(start=number / pace, end=(number + 0.9) / pace, text=word) for number, word in enumerate(words)
    ]


@pytest.mark.parametrize("language", TEXTS)
def test_what_was_expected_is_no_drift(language: str) -> None:
    words = spoken(TEXTS[language], TEXTS[language])
    assert drifts(words, [language]) == ()
    assert drifts(words, []) == ()
    assert drifts(words, ["en"], [language, "hu"]) == ()


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_stretch_in_another_language_is_said(one: str, other: str) -> None:
    words = spoken(TEXTS[one], TEXTS[one], TEXTS[other], TEXTS[other], TEXTS[one])
    (sentence,) = drifts(words, [one])
    name, instead = language_name(other), language_name(one)
    assert sentence.startswith("From ")
    assert f" the text looks like {name} rather than {instead}: " in sentence
    assert sentence.endswith(f" share it again with languages {one}, {other}.")
    assert drifts(words, [one], [one, other]) == ()
    assert drifts(words, [one, other]) == ()


def test_when_it_was_is_said_nearly_to_the_block() -> None:
    before, drift = len(spoken(TEXTS["en"] * 4)), len(spoken(TEXTS["es"] * 3))
    words = spoken(*([TEXTS["en"]] * 4), *([TEXTS["es"]] * 3), *([TEXTS["en"]] * 4))
    (sentence,) = drifts(words, ["en"])
    start, end = (
        int(minutes) * 60 + int(seconds)
        for minutes, seconds in (place.split(":") for place in (sentence.split()[1], sentence.split()[3]))
    )
    block = 40 / 2.5
    assert start == pytest.approx(before / 2.5, abs=block)
    assert end == pytest.approx((before + drift) / 2.5, abs=block)


def test_the_wording() -> None:
    words = spoken(TEXTS["de"], TEXTS["de"])
    assert drifts(words, ["en"], ["en", "fr"]) == (
        (
            "The text looks like German rather than English or French: if that is what was spoken, share it "
            "again with languages en, fr, de."
        ),
    )
    assert drifts(words, ["en-US"])[0].endswith("share it again with languages en, de.")


def test_changing_to_and_fro_is_said_once() -> None:
    words = spoken(*([TEXTS["en"], TEXTS["en"], TEXTS["fr"], TEXTS["fr"]] * 5))
    (sentence,) = drifts(words, ["en"])
    assert sentence.startswith("In 5 places, the first from 1:")


def test_two_languages_are_both_said() -> None:
    english, spanish, russian = (TEXTS[code] * 2 for code in ("en", "es", "ru"))
    words = spoken(english, spanish, english, russian, english)
    said = drifts(words, [])
    assert [name for sentence in said for name in ("Spanish", "Russian") if name in sentence] == [
        "Spanish",
        "Russian",
    ]


@pytest.mark.parametrize(
    "inserted",
    [
        "Guten Morgen, Frau Müller, wie geht es Ihnen heute?",  # a sentence
        "Müller Kowalczyk Tanaka García Nguyễn Öztürk Sørensen Dvořák O'Brien Rossi Weiß Łukasz " * 5,
        "Kubernetes PostgreSQL Terraform Grafana Jenkins OAuth JSON YAML " * 10,
        "Как дела? 你好。",
        "Router Switch Firewall und Kabel Stecker Dose Lampe Schalter Sicherung Klemme Draht " * 10,
        "17 3.5 2026 1,000 " * 40,
        "la la la " * 60,
        "ha ha ha " * 60,
        "mhm uh um aha oh ah hm " * 30,
    ],
)
def test_names_terms_and_a_quoted_sentence_are_no_drift(inserted: str) -> None:
    words = spoken(TEXTS["en"], inserted, TEXTS["en"])
    assert drifts(words, ["en"]) == ()
    assert drifts(spoken(inserted), ["en"]) == ()


def test_two_languages_at_once_are_no_drift() -> None:
    german, english = (TEXTS["de"] * 4).split(), (TEXTS["en"] * 4).split()
    mixed = [word for at in range(120) for word in (*german[2 * at : 2 * at + 2], english[at])]
    words = spoken(" ".join(mixed))
    assert drifts(words, ["en"]) == ()
    assert drifts(words, ["de"]) == ()
    assert drifts(words, ["fr"]) != ()


def test_loan_words_are_no_drift() -> None:
    text = (
        "Also das Deployment ist fertig, aber der Pull Request vom Backend Team fehlt noch, und ohne "
        "Review kann ich kein Release machen. Wir haben im Sprint Planning gesagt, dass der Product Owner "
        "das Backlog updated, und das Meeting mit dem Head of Sales ist auch noch nicht im Calendar. "
        "Okay, yeah, also let's go, ich share mal kurz meinen Screen und dann schauen wir das Dashboard "
        "zusammen an. "
    )
    assert drifts(spoken(text * 3), ["de"]) == ()


@pytest.mark.parametrize("expected", ["eu", "xx", "haw", "english"])
def test_languages_that_cannot_be_told_stay_silent(expected: str) -> None:
    assert drifts(spoken(TEXTS["es"], TEXTS["es"]), [expected]) == ()
    assert drifts(spoken(TEXTS["es"], TEXTS["es"]), ["en", expected]) == ()


def test_close_relatives_are_not_told_apart() -> None:
    for text, expected in (("es", "gl"), ("nl", "af"), ("ru", "be"), ("de", "gsw"), ("zh", "yue")):
        assert drifts(spoken(TEXTS[text], TEXTS[text]), [expected]) == ()
    # ... but a language that has a known relative is expected like it
    assert "English rather than Galician" in drifts(spoken(TEXTS["en"], TEXTS["en"]), ["gl"])[0]


def test_every_language_named_has_a_name() -> None:
    assert all(language_name(code) != code for code in known())
    assert set(TEXTS) <= known()


def test_japanese_is_not_chinese() -> None:
    assert shares(TEXTS["ja"])["ja"] > 0.9
    assert shares(TEXTS["zh"]) == {"zh": 1.0}


@settings(max_examples=60)
@given(st.lists(st.text(max_size=12), max_size=200), st.lists(st.sampled_from(["en", "zh", "ar", "?"])))
def test_any_text_is_fine(texts: list[str], languages: list[str]) -> None:
    words = [Word(start=float(at), end=at + 0.5, text=text) for at, text in enumerate(texts)]
    assert all(sentence.endswith(".") for sentence in drifts(words, languages))
    assert all(0 <= share <= 1 + 1e-9 for share in shares(" ".join(texts)).values())


def test_real_english_is_no_drift(corpus: Path) -> None:
    for path in sorted(corpus.glob("*/*.seglst.json")):
        text = " ".join(entry["words"] for entry in json.loads(path.read_text()))
        assert drifts(spoken(text), ["en"]) == (), path


def test_four_hours_of_words() -> None:
    words = spoken(*([TEXTS["en"]] * 380), *([TEXTS["fr"]] * 20), *([TEXTS["en"]] * 20))
    assert len(words) > 30_000
    (sentence,) = drifts(words, ["en"])
    assert "French rather than English" in sentence
