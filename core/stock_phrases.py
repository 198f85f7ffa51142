"""What recognisers are known to write where nobody speaks: sign-offs and credits of the subtitles that they
learnt from. Pure.

People say some of these too, so a phrase proves nothing by itself: see `core.invented.stock_phrases`.
"""

# ruff: noqa: RUF001  (letters of other alphabets are meant)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from core.repetition import normal

_WHOLE: Final = """
    you; thank you; thank you very much; thank you so much; bye; bye bye; thanks for watching
    thank you for watching; thank you so much for watching; thanks for watching and see you next time
    please subscribe; please subscribe to my channel; like and subscribe; see you in the next video
    don't forget to like and subscribe; i'll see you next time; the end
    vielen dank; vielen dank fürs zuschauen; danke fürs zuschauen; bis zum nächsten mal
    vielen dank für ihre aufmerksamkeit; untertitel der amara.org-community
    untertitel im auftrag des zdf für funk; swr
    merci; merci d'avoir regardé cette vidéo; merci d'avoir regardé; merci à tous; abonnez-vous
    gracias; gracias por ver el video; gracias por ver; muchas gracias por ver el video; suscríbete
    gracias por ver el vídeo; suscríbete al canal
    obrigado; obrigado por assistir; obrigada por assistir; inscreva-se no canal; até a próxima
    grazie; grazie per aver guardato il video; grazie per la visione; iscrivetevi al canale
    bedankt voor het kijken; bedankt om te kijken; tot de volgende keer
    tack för att ni tittade; tack för att du tittade; tack till elever; takk for att du så på
    tak fordi du så med; kiitos kun katsoitte; dziękuję za uwagę; dziękuję za oglądanie
    dziękuję za obejrzenie; děkuji za pozornost; děkujeme za sledování; köszönöm a figyelmet
    vă mulțumim pentru vizionare; mulțumesc pentru vizionare; hvala na gledanju; hvala vam na gledanju
    izlediğiniz için teşekkür ederim; izlediğiniz için teşekkürler; altyazı m.k; abone olmayı unutmayın
    спасибо за просмотр; спасибо за внимание; продолжение следует; подписывайтесь на канал
    дякую за перегляд; дякую за увагу; ευχαριστώ που παρακολουθήσατε
    ご視聴ありがとうございました; ご視聴ありがとうございます; ご清聴ありがとうございました
    チャンネル登録をお願いします; チャンネル登録よろしくお願いします; おやすみなさい
    谢谢观看; 謝謝觀看; 感谢观看; 感謝觀看; 谢谢大家; 谢谢收看; 請不吝點贊訂閱轉發打賞支持明鏡與點點欄目
    시청해주셔서 감사합니다; 구독과 좋아요 부탁드립니다; mbc 뉴스 이덕영입니다
    شكرا للمشاهدة; شكرا على المشاهدة; اشتركوا في القناة; תודה שצפיתם; cảm ơn các bạn đã theo dõi
    terima kasih telah menonton; धन्यवाद
"""

_BEGINNINGS: Final = """
    subtitles by; captions by; captioning by; transcribed by; translated by; transcription by; subtitled by
    untertitel von; untertitel der; untertitel im auftrag des; untertitelung des; untertitelung
    sous-titres par; sous-titres réalisés par; sous-titres réalisés para; sous-titrage
    subtítulos por; subtítulos realizados por; subtítulos en español de; legendas por; legendas pela
    sottotitoli a cura di; sottotitoli creati da; sottotitoli creati dalla; sottotitoli e revisione a cura di
    ondertitels ingediend door; ondertiteling; undertexter från; undertexter av; textning; teksting av
    tekster af; undertekster av; tekstitys; napisy stworzone przez; titulky vytvořil; altyazı
    субтитры сделал; субтитры создавал; субтитры подогнал; редактор субтитров
    字幕by; 字幕由; 字幕提供; 字幕志愿者; 字幕製作; 자막 제공; ترجمة
"""


def mentions(words: Sequence[str]) -> list[tuple[int, int, bool]]:
    """Where `words` (as `normal` gives them) are one of the phrases: first word, the word after its last, and
    whether it is a beginning such as "Subtitles by", after which more of the same may follow.

    Found over word boundaries of any kind, since scripts without spaces are cut into words at will. Of
    overlapping ones the longest, in order.
    """
    boundaries: dict[int, int] = {}
    at = 0
    for number, word in enumerate(words):
        boundaries[at] = number
        at += len(word)
    boundaries[at] = len(words)
    text = "".join(words)
    phrases = _phrases()
    found: list[tuple[int, int, bool]] = []
    for at, number in boundaries.items():
        if found and number < found[-1][1]:
            continue
        for phrase, beginning in phrases.get(text[at : at + 1], ()):
            end = boundaries.get(at + len(phrase))
            if end is not None and text.startswith(phrase, at):
                found.append((number, end, beginning))
                break
    return found


@cache
def _phrases() -> Mapping[str, Sequence[tuple[str, bool]]]:
    """Phrases by their first character, the longest first; whether each is only a beginning."""
    by_first: dict[str, list[tuple[str, bool]]] = {}
    for table, beginning in ((_WHOLE, False), (_BEGINNINGS, True)):
        for line in table.split("\n"):
            for phrase in filter(None, map(normal, line.split(";"))):
                by_first.setdefault(phrase[0], []).append((phrase, beginning))
    for phrases in by_first.values():
        phrases.sort(key=lambda each: -len(each[0]))
    return by_first
