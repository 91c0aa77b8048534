"""Which language a text is in, told by the small words that none of its sentences does without. Pure.

Only languages whose small words are known here are told apart; a text in another one, or without such words, is taken
as English, which is what names and code are like, too.
"""

import re
from collections.abc import Mapping

ENGLISH = "en"

FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        ENGLISH: """a about all also am an and any are as at be been being but by can could did do does doing for from had has have
            having he her hers him his how i if in into is it its itself just me more most my no nor not of off on once only or other
            our out over own same she should so some such than that the their them then there these they this those through to too under
            until up very was we were what when where which while who whom why will with would you your d don ll m re s t ve""",
        "de": """aber alle allem allen aller alles als also am an auch auf aus bei beim bereits bin bis da damit dann darf das dass dein
            deine dem den denen denn der deren des dessen dich die dies diese diesem diesen dieser dieses dir doch dort du durch dürfen
            ein eine einem einen einer eines er es etwas euch für gegen gegenüber gibt hab habe haben hat hatte hatten heißen heißt hier
            hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in ins ist ja jede jedem jeden jeder jedes kann kein keine
            keinen keiner können könnte mag man mehr mein meine meinem meinen meiner mich mir mit muss möchte müssen nach neben nicht
            noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner seit sich sie sind so soll sollen sollte sondern um und
            uns unser unsere unserem unseren unserer unter vom von vor wann war waren warum was wegen weil welche welchem welchen
            welcher welches wem wen wenn wer werde werden wessen wie wieder wieso wieviel will wir wird wo wobei wofür woher wohin
            wollen womit worden wurde wurden während zu zum zur zwischen über""",
        "fr": """ai appelle appellent après as au aucun aucune aussi aux avait avant avec avez avons c ce cela ces cet cette ceux chaque
            chez combien comme comment contre d dans de depuis des doit donc dont du elle elles en encore entre est et eu eux fait faut
            il ils j je l la laquelle le lequel les lesquels leur leurs lui m ma mais me mes moi mon même n ne ni nos notre nous on ont
            ou où par pas pendant peut plus pour pourquoi près qu quand que quel quelle quelles quels qui quoi s sa sans se sera ses si
            soit son sont sous sur t ta te tes toi ton toujours très tu un une va vers vos votre vous y à ça était été être""",
        "es": """a al algo alguna algún ante antes aquí así aún cada como con contra cual cuando cuál cuáles cuándo cuánta cuánto
            cuántos cómo de del desde después donde dos durante dónde e el ella ellas ellos en entre era es esa ese eso esta estas este
            esto estos estoy está están fue fueron ha había hace hacen han hasta hay he la las le les llama llaman lo los me mi mis muy
            más ni no nos nosotros nuestra nuestro nunca o para pero por porque puede pueden que quien quién quiénes qué se sea ser si
            siempre sin sobre son soy su sus sí también te tengo tiene tienen tu tus un una uno unos usted y ya yo él""",
        "it": """a ad ai al alla alle allo anche ancora avere c che chi chiama chiamano ci ciò col come con contro cosa cui da dai dal
            dalla dalle de dei del della delle dello di dobbiamo dopo dove e ed era essere fra gli ha hai hanno ho i il in io l la le
            lei li lo loro lui ma mentre mi mia mie miei mio ne nei nel nella nelle noi non nostra nostri nostro o per perché più prima
            può qual quale quali quando quanta quanto quella quello questa questi questo quindi se sei sempre si sia siamo sono su sua
            sue sugli sul sulla suo suoi ti tra tu tua tuo un una uno vi voi è""",
        "pt": """a ainda antes ao aos as até cada chama chamam com como contra da das de dela dele deles depois desde do dos durante e
            ela elas ele eles em entre era essa esse esta este está estão eu foi foram há isso isto já lhe mais mas me meu meus minha
            minhas muito na nas nem no nos nossa nosso nunca não o onde os ou para pela pelas pelo pelos pode por porque porquê quais
            qual quando quanto quantos que quem se sem sempre ser seu seus sua suas são só também te tem temos tenho teu tu tua um uma
            você vocês à às é""",
        "nl": """aan achter al als altijd bij dan dat de der deze die dit doen door dus echter een en er ge geen had heb hebben hebt
            heeft heet hem het heten hier hij hoe hoeveel hun ik in is ja je jij jou jouw jullie kan kunnen maar me met mij mijn moet
            moeten na naar niet nog nooit nu of om omdat ons onze ook op over sinds te tegen tijdens toch toen tot tussen uit van veel
            voor waar waarom wanneer want waren was wat we wel welk welke werd wie wij worden wordt zal ze zich zij zijn zo zonder zou""",
        "ru": """а без более больше был была были было быть в вам вас весь во вот все всегда всех вы где да для до его ее ей ему если
            есть еще же за здесь и из или им их к как какая какие какой какую ко когда кого которая которые который кто куда ли мне мной
            мое моего моей мой мою моя мы на нам нас наш наша наше наши не него нее нет ни но о об он она они оно от перед по под после
            потом почему при про с сколько со так также там тебя то тоже только ты у уже чего чем через что чтобы чья эта эти это этого
            этой этом этот я""",
    }.items()
}
"""Articles, pronouns, prepositions, auxiliary verbs and the words that questions begin with; as they are written, in small letters."""

_ALSO_ENGLISH = frozenset(
    """ad bin com come comment con das del den des die dir don door dos dove est hat las les los man men met mi min mis mit non nos
    par plus pour que sans sera sin sole son sous sur sus te ton tu van ver want war wie ya""".split()
)
"""Words, abbreviations or names in English, too, so that it takes two of them."""
_LETTERS: Mapping[str, re.Pattern[str]] = {
    "de": re.compile("[äöüß]"),
    "fr": re.compile("[èêœ]"),
    "es": re.compile("[ñ¿¡]"),
    "pt": re.compile("[ãõ]"),
}
"""That hardly stand in others of these languages; likewise."""
_SHORT = 2
"""So short words are abbreviations or words of other languages, too; likewise."""
_ENOUGH = 2
_BEGINNING = 600
"""Characters of a text that are looked at."""
_WORD = re.compile(r"\b[^\W\d_]+\b")
_SCRIPTS: Mapping[str, re.Pattern[str]] = {  # in this order: Japanese has Chinese letters, too
    "ja": re.compile("[\u3040-\u30ff]"),
    "ko": re.compile("[\uac00-\ud7af]"),
    "ru": re.compile("[\u0400-\u052f]"),
    "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
}
_IN_THOSE = re.compile("[\u0400-\u052f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_LATIN = re.compile("[A-Za-z]")
_LANGUAGES_OF: Mapping[str, tuple[str, ...]] = {
    word: tuple(language for language, words in FUNCTION_WORDS.items() if word in words)
    for word in frozenset().union(*FUNCTION_WORDS.values())
}
_FOREIGN = _LANGUAGES_OF.keys() - FUNCTION_WORDS[ENGLISH] - _ALSO_ENGLISH


def language_of(text: str) -> str:
    """The ISO 639-1 code of the language that the beginning of a text is in; English where nothing tells. Never fails.

    All that is written in Cyrillic letters counts as Russian.
    """
    beginning = text[:_BEGINNING].lower()
    if beginning.isascii():
        if _FOREIGN.isdisjoint(beginning.split()):  # most texts end here, ten times sooner
            return ENGLISH
    elif 2 * len(_IN_THOSE.findall(beginning)) > len(_LATIN.findall(beginning)):  # else it only quotes them
        return next(language for language, letters in _SCRIPTS.items() if letters.search(beginning))
    votes = dict.fromkeys(FUNCTION_WORDS, 0)
    for language, letters in () if beginning.isascii() else _LETTERS.items():
        votes[language] += letters.search(beginning) is not None
    for word in set(_WORD.findall(beginning)):
        for language in _LANGUAGES_OF.get(word, ()):
            votes[language] += 1 if len(word) <= _SHORT or word in _ALSO_ENGLISH else 2
    most = max(votes.values())
    return ENGLISH if most < _ENOUGH or votes[ENGLISH] == most else max(votes, key=votes.__getitem__)
