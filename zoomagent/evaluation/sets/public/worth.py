"""What an answer to a question of a published set is worth, from 0 to 1, by the rule of its authors; no judge.

option      the option that was named is the right one
words       the words are one of the right answers, numbers by value (`batch/gold.py`)
yes or no   POPE's rule (evaluate.py of github.com/AoiDragon/POPE): the first sentence with "no" or "not" is No, any
            other Yes. Unlike there, no answer and "Cannot tell" are wrong, not Yes
vqa         VQA's accuracy over ten people (Antol et al. 2015; visualqa.org/evaluation.html)
box         the box, written as [left, top, right, bottom], overlaps the right one by an IoU of a half
moment      the IoU of the moment, written as [start, end] in milliseconds, with the right one

A rule with shares counts a question as right from a half on, where right and wrong are counted.
"""

import orjson

from zoomagent.batch.gold import VQA_ANSWERS, judge, vqa_accuracy
from zoomagent.batch.rows import Row
from zoomagent.confidence.replies import CANNOT_TELL, same_answer
from zoomagent.confidence.words import plain, words
from zoomagent.evaluation.sets.public.question import Rule, SetQuestion
from zoomagent.geometry import Box, iou
from zoomagent.moments import Moment
from zoomagent.moments import iou as moment_iou

HALF = 0.5


def worth(rule: Rule, question: SetQuestion, given: str) -> float:
    """What `given` is worth as the answer to the question; "" is no answer."""
    if not given:
        return 0.0
    if question.options:
        return float(any(same_answer(given, answer) for answer in question.answers))
    if rule == "yes or no":
        return float(given != CANNOT_TELL and yes_or_no(given) == plain(question.answers[0]))
    if rule == "vqa" and len(question.answers) == VQA_ANSWERS:
        return vqa_accuracy(given, question.answers)
    if rule == "box":
        return float(iou(Box(*orjson.loads(given)), Box(*question.boxes[0])) >= HALF)
    if rule == "moment":
        wanted = Moment(*orjson.loads(question.answers[0]))
        return moment_iou(Moment(*orjson.loads(given)), wanted) if given.startswith("[") else 0.0
    row = Row(question.id, 0, "", question.text, answers=question.answers)
    return float(bool(judge(row, given).right))


def yes_or_no(text: str) -> str:
    """What POPE's script reads in a reply."""
    return "no" if {"no", "not"} & set(words(text.split(".", 1)[0])) else "yes"
