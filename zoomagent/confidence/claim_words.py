"""Words by which `claims.py` tells claims about everything, in English, German, French, Spanish, Portuguese, Italian,
Dutch and, for answers, some more languages."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


YES = _set("yes yeah ja oui si sí sim tak da да evet ναι 是 是的 有 はい 네 예 نعم हाँ ano")
NO = _set("""
    no nope nein non não nao nie nej nei ne нет hayır όχι 不 不是 没有 沒有 いいえ ない
    아니요 아니오 لا नहीं ei nem net nu
""")
NONE = _set("""
    none nothing nobody nowhere neither never zero null keine keiner keines kein nichts niemand aucun aucune rien
    personne ninguno ninguna nada nadie nessuno nessuna niente nenhum nenhuma ninguém geen niets niemand ingen inget
    żaden нет ничего никого 無 无 なし 없음
""")
NUMBERS = _set("""
    one two three four five six seven eight nine ten eleven twelve dozen several many few
    ein eins eine zwei drei vier fünf sechs sieben acht neun zehn un une deux trois quatre cinq sept huit neuf dix
    uno una dos tres cuatro cinco seis siete ocho nueve diez due tre quattro cinque sei sette otto nove dieci
    een twee drie vier vijf zes zeven negen tien um uma dois três quatro sete oito dez
""")
DENYING = _set("""
    no not none never without free empty missing lack lacks absent nothing isn doesn aren
    kein keine nicht ohne frei leer fehlt pas sans vide aucun aucune sin vacío falta não sem vazio non senza vuoto manca
    niet geen zonder leeg
""")
"""Words with which a question asks whether something is not there."""
QUANTITY = _set("""
    how many much number count amount total any every each all both only none no more most less least fewer fewest
    than which who whose larger largest smaller smallest bigger biggest taller tallest longer longest shorter shortest
    nearer nearest closer closest farther farthest highest lowest leftmost rightmost topmost other others else same
    different another common
    wie viele viel anzahl zähle jede jeder jedes alle beide nur kein keine mehr meisten weniger wenigsten als welche
    welcher welches wer größer größte kleiner kleinste höher höchste andere
    combien nombre compte chaque tous toutes tout seul aucun aucune plus moins que quel quelle quels quelles lequel
    laquelle qui autre autres
    cuántos cuántas cuanto cuantos cuantas cuánto número cuenta cada todos todas solo ningún alguna algún más menos
    cuál cual cuáles quién otro otra quantos quantas mais qual quais quem nenhum quanti quante quanto numero ogni tutti
    tutte più meno quale quali chi altro altra
    hoeveel aantal elke meer minder dan welke wie
""")
"""Words of a question that make its answer turn on all that is there. "Which" and "who" choose among everything."""
QUALITIES = _set("""
    colour color shape number text word letter letters digits side farbe form zahl text wort seite couleur forme nombre
    mot forma número texto lado colore numero testo kleur vorm
""")
"""After "which" and its like: a quality of one named thing, not a choice among things."""
NAMES_A_NUMBER = _set("number nombre número numero no nr")
"""Words that ask for a number that is written somewhere as often as for how many there are."""
COUNTING = _set("count zähle compte cuenta combien hoeveel quanti quante сколько kaç ile ilu cuántos cuántas quantos")
PAIRS = frozenset(
    {("how", "many"), ("wie", "viele"), ("number", "of"), ("nombre", "de"), ("número", "de"), ("anzahl", "der")}
)
FEWER = _set("fewer less weniger moins menos meno minder")
MORE = FEWER | _set("more mehr plus más più mais meer")
THAN = _set("than als que di dan")
EXISTING = _set("""
    there any exist exists appear appears visible see show shows contain contains include includes
    gibt enthält zeigt zeigen siehst sichtbar existe existent voit montre contient hay contiene muestra ve aparece
    há contém mostra vê aparecem ci esiste esistono contiene vedi er bevat toont zie
""")
"""Words with which a question asks whether things are there, instead of taking it for granted."""
VALUES = _set("""
    price prices value cost sum total amount number score rate rank level limit goal average temperature speed age year
    date percentage share team league country city company sales profit income revenue figure
    preis wert kosten summe zahl temperatur grenze rang jahr alter prix valeur coût somme nombre température limite
    année precio valor costo suma número temperatura límite año edad
""")
"""What is above another in value or rank, wherever it is printed."""
KNOWN = tuple(
    _set(words)
    for words in (
        "what which is the of on a an in where does do has it this that there you see",
        "was welche welcher welches ist der die das dem den auf in wo steht hat wie es",
        "quel quelle est le la les du de des où que qui sur dans une un",
        "qué cuál es el la los las de en dónde del un una",
        "que qual é o a os as do da em onde um uma",
        "che cosa quale è il la lo le del della in dove sul un una",
        "wat welke is de het op in waar staat een van",
    )
)
"""Common words of each language whose quantity words stand above: two of one show a question to be in it."""
SKIPPED = _set("is are est ist es é è the la le der die das el il o a de het une un een")
"""Between "which" and the quality that is asked for."""
ALL_OF_A_NAME = _set("""
    how many much number of count the a an and more fewer less than are is there in on this that picture image photo
    scene do does you see can be seen show visible altogether what
    wie viele ist sind gibt es auf dem bild im zu sehen sichtbar mehr weniger als siehst du anzahl der die das
    combien de d il y a t l la le les dans sur cette image photo voit on plus moins que y
    cuántos cuántas hay en la el los las imagen foto se ven más menos que
""")
"""The words of a question for all things of a name, or for which of two there are more, and for nothing besides: a
number that stands in it, "twice" or "with a hat" asks something else."""
