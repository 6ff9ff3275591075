"""How people of many languages announce an answer, name an option, deny, and say that they cannot tell: tables only.

Patterns are for text whose case does not matter; `ABSTAIN` and `DENY` are compared with folded words
(`confidence/words.py`). A language that is missing costs a reading, never a wrong one: what is not understood names no
option. Left out: reading (`unwrapping.py`, `confidence/replies.py`).
"""

_IS = r"\s{0,3}(?:is|would be|should be|must be|[:：=]|→|->)\s{0,3}[:：]?"
_HENCE = r"(?:(?:so|thus|therefore|hence)[, ]{1,2})?(?:(?:the|my|our) )?"
_LATIN = (
    "réponse|reponse|respuesta|resposta|risposta|antwort|lösung|antwoord|odpowiedź|odpověď|odpoveď|svaret|svar|cevap|"
    "yanıt|jawabannya|jawaban|đáp án|câu trả lời|válasz|răspunsul|răspuns|vastaus|odgovor|atbilde|vastus|"
    "jibu|ìdáhùn|idáhùn|idahun|àdáhùn|jawapan|sagot"
)
_RIGHT = (
    "correct[aeo]?|correcte|finale?|bonne|bon|exacte|juste|mejor|melhor|migliore|richtige|korrekte|juiste|goede|rätta|"
    "korrekta|riktige|rigtige|oikea|prawidłowa|poprawna|správná|správna|doğru|helyes|točan|tačan|pravilen"
)
"""Adjectives before the noun: "la bonne réponse"."""
_LATIN_IS = "est|es|é|è|ist|lautet|is|to|je|är|er|adalah|là|on|este|zní"

ANNOUNCE_FINAL = rf"{_HENCE}final (?:answer|choice){_IS}"
ANNOUNCE = (
    rf"{_HENCE}(?:(?:correct|right|best|short|most likely) )?(?:answer|option|choice)"
    rf"(?: to (?:the|this|your) question)?{_IS}",
    r"(?:所以|因此)?[,，]?(?:我认为|我認為)?(?:最终|最終|正确|正確)?的?(?:答案|选项|選項)\s?(?:应该|應該|应|就)?(?:是|为|為|选|選|[:：])\s?[:：]?",
    r"(?:正しい)?(?:答え|回答|正解|解答)\s?(?:は|[:：])\s?[、:：]?",
    r"(?:최종 )?(?:정답|답변|답)\s?(?:은|는|[:：])\s?[:：]?",
    rf"(?:(?:la|le|el|die|der|a|o|il|de|het) )?(?:(?:{_RIGHT}) )?(?:{_LATIN})"
    r"(?: (?:correct[ae]?|correta|corretta|finale?|đúng|yang benar))?\s{0,2}"
    rf"(?:(?:{_LATIN_IS})(?=\W)|[:：])\s{{0,2}}[:：]?",
    r"(?:(?:правильный|окончательный|верный) )?(?:ответ|відповідь|отговор)\s?(?:это|[:：—-])\s?[:：]?",
    r"(?:الإجابة|الاجابة|الجواب|إجابة|پاسخ|جواب)(?: (?:الصحيحة|النهائية|الصحيح|صحیح))?\s?(?:هي|هو|[:：])\s?:?",
    r"ה?תשובה(?: הנכונה)?\s?(?:היא|:)\s?:?",
    r"(?:(?:सही|अंतिम) )?(?:उत्तर|जवाब)(?: है)?\s?[:：]",
    r"(?:সঠিক )?উত্তর\s?(?:[:：ঃ]|হল)\s?[:：]?",
    r"คำตอบ(?:ที่ถูกต้อง)?\s?(?:คือ|[:：])\s?:?",
    r"(?:η )?(?:σωστή )?απάντηση\s?(?:είναι|:)\s?:?",
    r"(?:சரியான |సరైన |ശരിയായ |ಸರಿಯಾದ |સાચો )?(?:பதில்|விடை|సమాధానం|జవాబు|ಉತ್ತರ|ഉത്തരം|જવાબ|ਉੱਤਰ|ਜਵਾਬ|පිළිතුර|"
    r"መልስ|პასუხი|պատասխան|жауап|жооп|javob|cavab|хариулт|адказ|ចម្លើយ|ຄໍາຕອບ|အဖြေ)\s?[:：—-]\s?:?",
)
"""What stands before an answer, with the sign or the word that means "is"."""

CORRECTS = (
    r"\b(?:wait|actually|mistake|mistaken|revise[ds]?|revising|scratch that|on second thought"
    r"|correct (?:this|that|myself|my)|correction|re-?(?:check|consider|think|evaluat)\w{0,5}"
    r"|doch|en fait|corrijo|corrigindo)\b|等等|更正|重新|不对|訂正|아니"
)
"""What stands between an answer and the one that takes its place."""

LEAD = (
    "option|choice|letter|alternative|answer|the|a letra|à letra|a opção|a alternativa|la|le|el|die|der|opción|opcion|"
    "opção|opzione|alternativa|lettre|letra|buchstabe|lettera|вариант|буква|opcja|seçenek|şık|pilihan|lựa chọn|"
    "definitely|clearly|probably|correct|"
    "i|we|would|will|choose|pick|select|go|with|'d|it|is|it's|therefore|so|thus|hence|ich|wähle|nehme|elijo|je|"
    "choisis|scelgo|escolho|выбираю|я|ตัวเลือก|ข้อ|विकल्प|الخيار|گزینه|"
    "我|选择|選擇|选项|選項|选|選|应该|應該|是|選択肢|보기|선택지"
)
"""Words that may stand between the start of a reply and the letter of its option."""

NAME = (
    r"\b(?:option|choice|choose|pick|select|answer(?: is)?|go with|opción|opção|opzione|alternativa|вариант|seçenek|"
    r"pilihan|opcja|wähle|choisis|elijo)|选择|選擇|选项|選項|选|選|答案|選択肢|정답|ตัวเลือก|विकल्प|उत्तर|जवाब|الخيار|گزینه"
)
"""Words after which a letter is that of an option, wherever they stand."""

DENY = (
    "not no never neither nor without isn aren wasn doesn don didn cannot",
    "nicht kein keine keinen nie pas jamais aucun ni nunca jamás não nem non nessun nessuna niet geen ikke inte ei",
    "не нет ни nie nincs nem není değil yok tidak bukan không chẳng chả δεν όχι μη",
    "ليس ليست لا لم غير לא אין नहीं नही मत না নয়",
)
"""Words that deny, in scripts with spaces."""

DENY_UNSPACED = "不 没 沒 非 无 無 未 勿 ない ません ではなく じゃなく 아니 아닙 않 없 ไม่ มิ บ่"
"""The same where a script has no spaces."""

DENIES_NOTHING = r"\b(?:no|without)(?: a)? (?:doubt|question)\b|\bno longer\b|\bnot only\b"
CLAUSE_ENDS = r"[.,;:!?\n()。，、；！？।،؛]|\b(?:but|sondern|mais|sino|pero|mas|ma|но|ama|aber)\b|而是|但"

_SEE = "tell|say|determine|know|answer|see|identify"
_SEEN = "told|said|determined|known|answered|seen|identified"
_WHERE = (
    r"(?: (?:from|in|based on|with|by|using|given) (?:only )?(?:the|this|these|that)(?: (?:provided|given|whole))? "
    r"(?:image|picture|photo|view|crop|information)s?)?"
)
ABSTAIN = (
    r"(?:(?:i'm |i am )?(?:sorry|unfortunately|apologies),? ?(?:but )?)?(?:based on [a-z ]{1,40}, ?)?"
    r"(?:(?:i|we|you|one) )?(?:(?:really|simply|just) )?(?:"
    rf"(?:can ?not|can't|could not|couldn't|(?:am |are )?(?:unable|not able) to) (?:{_SEE})"
    rf"(?: (?:it|that|this|for sure))?|(?:can ?not|can't|could not) be (?:{_SEEN})|don't know|do not know"
    rf"|(?:it is |it's )?(?:not possible|impossible|unclear)(?: to (?:{_SEE}))?"
    rf"|(?:it|this|that|the answer) can ?not be (?:{_SEEN}))(?: (?:the answer|this question|the question))?{_WHERE}",
    r"我?(?:无法|無法|不能)(?:从[图圖][像片中]{0,3})?(?:判断|判斷|确定|確定|回答|看出|得知|辨认|辨認|看清)",
    r"看不清楚?|看不出来?|不知道|我?不确定",
    r"(?:判断|判別|確認|特定)(?:できません|できない)|(?:分|わ)か(?:りません|らない)|見えません",
    r"알 ?수 ?(?:없습니다|없음|없다)|판단할 ?수 ?없습니다|모르겠습니다",
    r"no (?:se puede|puedo|es posible) (?:determinar(?:lo)?|decir(?:lo)?|saber(?:lo)?)|no (?:lo )?sé",
    r"je ne (?:peux|sais) pas(?: le)?(?: (?:dire|déterminer))?|impossible (?:à|de le) (?:dire|déterminer)",
    r"(?:das )?(?:kann ich nicht|lässt sich nicht|nicht) (?:sagen|erkennen|erkennbar|feststellen|bestimmen)",
    r"(?:das )?(?:ich )?weiß (?:ich )?(?:es )?nicht",
    r"não (?:é possível|consigo|sei|dá para) ?(?:dizer|determinar|saber)?",
    r"non (?:posso|è possibile|si può) (?:dirlo|determinarlo|dire|determinare)|non lo so",
    r"(?:я )?(?:не могу|невозможно|нельзя) (?:определить|сказать|ответить)|(?:я )?не знаю",
    r"لا يمكن(?:ني)? (?:التحديد|تحديد ذلك|معرفة ذلك)|لا أعرف",
    r"पता नहीं|नहीं बता सकता|कह नहीं सकते",
    r"ไม่สามารถ(?:บอก|ระบุ)ได้|ไม่ทราบ|không (?:thể xác định|biết)|tidak (?:dapat ditentukan|tahu)|bilinmiyor|nie wiem",
)
"""What a whole reply says that cannot tell."""
