# ruff: noqa: RUF001  (letters of other alphabets are meant)
"""Which language a stretch of text is in: by its script, and by its little words where languages share one.

Pure, small and in plain sight. About two in five words of speech are from a list of fifty, and names,
numbers, technical terms and single foreign words are not, so what is found is found on good evidence. A
trained model (py3langid: 140 languages, a wheel of 4.6 MB) knows more languages, but takes 100 MB of memory
and 0.7 s to load, and has an opinion about a list of names too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final
from unicodedata import normalize

# ISO 639-1 code, then the words that say that it is this language and little else.
_LITTLE_WORDS: Final = """
    en: the a an and of to in is it that you i he she we they was were are be been have has had do does did
        not but for with on at this what there so if or from by as just about your my our their me them him
        her would could should will can don didn isn t s re ve ll m because which who when where how then
        now well okay yeah yes no some any all very really think know go going get got want need one out up
        like here
    de: der die das den dem des ein eine einen einem einer und oder aber ist sind war waren bin hat haben
        hatte wird werden wir ich du er sie es ihr uns mich mir dir nicht auch noch nur schon mal ja nein
        doch so wie was wer wo wenn dann dass weil für mit von zu zum zur auf aus bei nach über an im in am
        um als sehr kann können muss müssen will sich mehr hier da jetzt also heute man kein keine
    fr: le la les un une des du de et ou mais est sont était suis es ont a ai avons avez fait il elle ils
        elles on nous vous je tu ne pas plus que qui quoi ce cette ces ça se sa son ses mon ma mes dans pour
        par sur avec sans au aux en y si comme très bien aussi tout tous être avoir c l d j n qu s m donc
        alors oui non parce quand où là
    es: el la los las un una unos unas y o pero es son era está están estoy fue ser he ha han hay que de del
        al en con por para sin sobre no sí se le les lo me te nos mi su sus tu yo él ella ellos nosotros
        usted muy más como cuando porque qué este esta esto ese eso todo todos también ya si entonces bueno
        pues vamos tiene tenemos aquí
    it: il lo la i gli le un uno una e o ma è sono era erano ha hanno ho abbiamo che di del della dei delle
        dello nel nella da dal con per su sul in a al alla non si ci mi ti vi se come anche più molto bene
        questo questa quello io tu lui lei noi loro perché quando dove cosa c l dell all allora poi quindi
        sì no essere fare
    pt: o a os as um uma e ou mas é são era está estão estou foi ser tem temos há que de do da dos das no na
        nos nas em com por para sem ao à pelo pela não sim se lhe me te eu ele ela eles nós você vocês meu
        minha seu sua muito mais como quando porque isso isto este esta esse essa também já então bem aqui
        vai vamos
    nl: de het een en of maar is zijn was waren ben heeft hebben had wordt worden we wij ik je jij hij zij
        ze u ons mij niet ook nog alleen al wel ja nee dus zo hoe wat wie waar als dan dat omdat voor met
        van naar op uit bij over aan in om te er heel kan kunnen moet moeten wil zich meer hier daar nu geen
        deze dit die
    sv: och att det är en ett som på för av med den de i inte jag du han hon vi ni har var hade om men till
        från så kan ska skulle vill måste när där här vad hur bara också eller nu ja nej mycket mer sig sin
        sitt man då detta vara blir finns något mig dig oss alla
    da: og at det er en et som på for af med den de i ikke jeg du han hun vi har var havde om men til fra så
        kan skal skulle vil må når der her hvad hvordan kun også eller nu ja nej meget mere sig sin sit man
        da dette være bliver noget mig dig os alle lige jo
    no: og at det er en et som på for av med den de i ikke jeg du han hun vi har var hadde om men til fra så
        kan skal skulle vil må når der her hva hvordan bare også eller nå ja nei veldig mer seg sin sitt man
        da dette være blir noe meg deg oss alle jo
    fi: ja on ei se että en hän minä sinä me te he ovat oli olivat olla ole olen mutta tai kun jos niin kuin
        myös vain nyt sitten tämä tuo mitä mikä missä joka jotka sitä siitä siellä täällä hyvin paljon vielä
        jo aina voi pitää kyllä mä sä ihan kanssa mukaan sen tämän
    pl: i w na z do że się nie jest są był była było to ten ta te tego tej tym co jak ale czy lub albo o od
        po za przez dla przy już tylko też tak dobrze bardzo może można ja ty on ona my wy oni mnie mi cię
        nas was jego jej ich mam mamy ma będzie być kiedy gdzie bo więc tu tam teraz
    cs: a v na z do že se ne je jsou byl byla bylo to ten ta ty toho té tom co jak ale nebo o od po za pro
        při už jen také tak dobře velmi může já on ona my vy oni mě mi tě nás vás jeho její jejich mám máme
        má bude být když kde protože tady tam teď jsem jsme jste ještě aby ano i s k u který která
    sk: a v na z do že sa nie je sú bol bola bolo to ten tá tie toho tej tom čo ako ale alebo o od po za pre
        pri už len aj tak dobre veľmi môže ja ty on ona my vy oni ma mi ťa nás vás jeho jej ich mám máme má
        bude byť keď kde pretože tu tam teraz som sme ste ešte aby áno i s k u ktorý ktorá
    hu: a az és hogy nem is egy van volt vannak lesz meg de ha vagy mert csak már még most itt ott ez azt
        ezt ennek annak én te ő mi ti ők nekem neki nekünk ami aki amely mint nagyon jó igen kell lehet
        tudom akkor úgy így ilyen olyan minden lenne között után
    ro: și în de la cu pe din pentru este sunt era a au am ai are avem nu da că să ce care un o unei al ale
        lui cel cea mai foarte bine eu tu el ea noi voi ei ele mă te se ne vă îi le îl acest această acum
        aici dar sau dacă când unde cum deci atunci fi fost
    tr: bir ve bu da de için ne var yok çok ama ile gibi daha değil mi mı mu o ben sen biz siz onlar bana
        sana bunu şu olarak olan oldu olur olduğu kadar sonra önce her şey en ki evet hayır tamam şimdi
        burada nasıl neden çünkü veya ya diye hiç
    hr: i u na je da se ne su od za sa s iz do što koji koja koje kako ali ili ako kad kada gdje jer samo
        već još tako dobro jako može mogu treba ja ti on ona mi vi oni me te nas vas njega njegov bio bila
        bilo biti sam smo ste ovo to taj ta ovaj ova tu tamo sada onda
    sl: in v na je da se ne so od za z s iz do kar ki kako ali če ko kjer ker samo že še tako dobro zelo
        lahko moram jaz ti on ona mi vi oni me mene te nas vas njega bil bila bilo biti sem smo ste to ta
        tisti tukaj tam zdaj potem pa tudi kaj ni bomo pri
    id: yang dan di ke dari untuk dengan ini itu ada tidak akan adalah saya kita kami kamu anda dia mereka
        pada dalam sudah juga bisa lebih karena atau jadi kalau seperti apa siapa bagaimana oleh telah bukan
        harus lagi saja sangat masih banyak hanya tapi tetapi nya
    vi: và của là có không được cho các những một này đó với trong người như để thì đã đang sẽ cũng ở tôi
        bạn anh chị chúng ta họ nó rất lại ra vào về từ đến khi nếu vì mà gì nào phải làm thế nhưng hay bị
    ca: el la els les un una uns unes i o però és són era està estan estic va ser he ha han hi que de del
        dels al als en amb per sense sobre no sí es li em et ens jo ell ella nosaltres vostè molt més com
        quan perquè què aquest aquesta això tot també ja si doncs bé anem té tenim aquí l d s
    et: ja on ei see et ta ma sa me te nad oli olid olema ole olen aga või kui siis nii ka ainult nüüd mis
        kes kus need seda selle siin seal väga palju veel juba alati saab peab jah mina sina meie kas nagu
        oma üle
    lt: ir yra ne tai kad aš tu jis ji mes jūs jie buvo bus bet ar kai jei taip kaip tik dabar čia ten kas
        kuris kuri labai daug dar jau visada gali reikia su iš į ant per už po apie mano savo ši šis
    lv: un ir nav tas ka es tu viņš viņa mēs jūs viņi bija būs bet vai kad ja tā kā tikai tagad šeit tur kas
        kurš ļoti daudz vēl jau var ar no uz par pēc pie mans savu šis šī arī lai
    ru: и в не на что он с как это я по но она к у за от из мы вы они а же бы то так все его её их был была
        было есть только уже ещё еще вот если когда где там тут для при или до очень надо можно нет да меня
        мне тебя нас вас этот эта чтобы потому сейчас тоже ну может быть будет
    uk: і в не на що він з як це я по але вона до у за від із ми ви вони а ж би то так все його її їх був
        була було є тільки вже ще от якщо коли де там тут для при або дуже треба можна ні мене мені тебе нас
        вас цей ця щоб тому зараз теж ну може бути буде та й про
    bg: и в не на че той с като това аз по но тя към у за от са ние вие те а же би то така все неговата им
        беше е само вече още ето ако когато къде там тук при или до много трябва може да ще ме ми теб нас
        вас този тази защото сега също си се съм сме как какво
    sr: и у не на да се је су од за са с из до што шта који која које како али или ако кад када где јер само
        већ још тако добро може треба ја ти он она ми ви они ме нас вас њега био била било бити сам смо сте
        ово то тај овај ова ту сада онда
    ar: في من على إلى عن مع هذا هذه ذلك التي الذي أن إن كان كانت لا ما لم لن قد هو هي هم أنا نحن أنت كل بعد
        قبل بين عند أو ثم لكن حتى يعني كما أي هل نعم لأن إذا وهو يكون
    fa: و در به از که این را با است برای آن یک ما من شما او آنها می نمی هم بود شد شده کرد کند باید خود تا بر
        یا اگر ولی اما هست نیست دارد داریم چه خیلی بله نه پس همه هر
    ur: کے کی کا میں ہے ہیں اور سے کو نے یہ وہ پر بھی کہ ہم آپ تھا تھی تھے ہو گا گی گے نہیں کیا جو ایک اس ان
        کر رہا رہے رہی لیے تو ہی تک ہوتا ہوں مجھے کچھ
"""

# Scripts of which one language is likely by far, as ranges of code points.
_SCRIPTS: Final = (
    ("el", "\u0370-\u03ff"),
    ("hy", "\u0531-\u058f"),
    ("he", "\u0590-\u05ff"),
    ("hi", "\u0900-\u097f"),
    ("bn", "\u0980-\u09ff"),
    ("pa", "\u0a00-\u0a7f"),
    ("gu", "\u0a80-\u0aff"),
    ("ta", "\u0b80-\u0bff"),
    ("te", "\u0c00-\u0c7f"),
    ("kn", "\u0c80-\u0cff"),
    ("ml", "\u0d00-\u0d7f"),
    ("si", "\u0d80-\u0dff"),
    ("th", "\u0e00-\u0e7f"),
    ("lo", "\u0e80-\u0eff"),
    ("my", "\u1000-\u109f"),
    ("ka", "\u10a0-\u10ff"),
    ("am", "\u1200-\u137f"),
    ("km", "\u1780-\u17ff"),
    ("ja", "\u3040-\u30ff"),
    ("ko", "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"),
    ("zh", "\u3400-\u9fff"),
)

ALIKE: Final = (
    frozenset({"da", "no", "nb", "nn"}),
    frozenset({"hr", "bs", "sr", "sh", "sl"}),
    frozenset({"cs", "sk"}),
    frozenset({"id", "ms", "jv", "jw", "su"}),
    frozenset({"nl", "af", "fy", "li"}),
    frozenset({"de", "gsw", "lb"}),
    frozenset({"es", "ca", "gl", "an", "oc"}),
    frozenset({"pt", "gl"}),
    frozenset({"bg", "mk"}),
    frozenset({"ru", "be"}),
    frozenset({"uk", "be"}),
    frozenset({"fi", "et"}),
    frozenset({"tr", "az", "tk", "crh"}),
    frozenset({"fa", "tg", "ps", "ku"}),
    frozenset({"ur", "pa", "sd"}),
    frozenset({"hi", "mr", "ne", "sa"}),
    frozenset({"bn", "as"}),
    frozenset({"he", "yi"}),
    frozenset({"am", "ti"}),
    frozenset({"zh", "yue", "wuu"}),
    frozenset({"fr", "wa", "ht"}),
    frozenset({"it", "co", "sc", "scn"}),
    frozenset({"ro", "mo"}),
    frozenset({"sv", "fo"}),
)
"""Languages that are too close to tell apart here."""


_KANA = 0.1  # of the letters; Japanese has more of them, and shares the others with Chinese
_TOKEN: Final = re.compile(r"[^\W\d_]+")


def alike(one: str, other: str) -> bool:
    """Whether two languages are the same or can't be told apart here."""
    return one == other or any(one in group and other in group for group in ALIKE)


def known() -> frozenset[str]:
    """The languages that `shares` tells."""
    return frozenset(code for code, _ in _SCRIPTS) | frozenset(
        code for codes in _languages().values() for code in codes
    )


def shares(text: str) -> dict[str, float]:
    """How much of `text` speaks for each language, 0..1: the share of its letters for languages with a script
    of their own, for others the share of its words that are the language's little ones."""
    text = normalize("NFC", text.casefold())
    tokens = Counter(_TOKEN.findall(text))
    found: dict[str, float] = {}
    languages = _languages()
    count = tokens.total() or 1
    for token, times in tokens.items():
        for code in languages.get(token, ()):
            found[code] = found.get(code, 0.0) + times / count
    if not text.isascii():
        letters = sum(len(token) * times for token, times in tokens.items()) or 1
        for match in _scripts().finditer(text):
            code = match.lastgroup or ""
            found[code] = found.get(code, 0.0) + len(match[0]) / letters
    if found.get("ja", 0.0) > _KANA:
        found["ja"] += found.pop("zh", 0.0)
    return found


@cache
def _scripts() -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{code}>[{points}]+)" for code, points in _SCRIPTS))


@cache
def _languages() -> Mapping[str, Sequence[str]]:
    """By little word, the languages whose it is."""
    table = re.sub(r"\n\s{5,}", " ", _LITTLE_WORDS).split("\n")
    found: dict[str, list[str]] = {}
    for code, words in (line.strip().split(": ") for line in table if line.strip()):
        for word in dict.fromkeys(words.casefold().split()):
            found.setdefault(word, []).append(code)
    return found
