"""A model without weights that tells the truth about a drawn scene, as far as the views it is shown let it see.

    truth = Truth(scene, question, views)
    model = FakeModel(respond=truth.reply, respond_score=truth.scores)

An object of 5 pixels or more in a view that holds all of it is seen, letters of 6.5 pixels or more are read; what is
neither is "Cannot tell". Views are known by their ViewStore: a rendered view's key says which region it shows. Asked
where to look, it points at what the question is about, but only where a view shows it. It knows our shared prompts
and no others.
"""

import math
from collections.abc import Iterator, Sequence

import orjson
from fake_model import Call, Scripted, reply_of

from zoomagent import prompts
from zoomagent.confidence.replies import CANNOT_TELL, plain
from zoomagent.data.world.questions import LEGIBLE, SMALLEST, Question
from zoomagent.data.world.scene import Item, Scene
from zoomagent.geometry import Box, box_to_model
from zoomagent.models.base import Pixels, Reply, ToolCall
from zoomagent.tools.definitions import ZOOM_IN
from zoomagent.tools.viewing import ViewStore, as_view

LIKELY, UNLIKELY = -0.05, -4.0
HUNCH = 0.3
"""How surely the part is named that holds what is too small to be seen."""


class Truth:
    """Knows one scene and the one question that is asked about it."""

    def __init__(self, scene: Scene, question: Question, views: ViewStore, options: Sequence[str] = ()) -> None:
        self.scene, self.question, self.views, self.options = scene, question, views, tuple(options)

    # What FakeModel asks

    def reply(self, call: Call) -> Scripted:
        last = last_text(call)
        if call.options["tools"] and self.answer(call) == CANNOT_TELL and self.question.targets and len(call.views) < 4:
            return self._zoom(call)
        if last.startswith(prompts.CUES):
            return ", ".join(self.question.phrases) or prompts.WHOLE_PICTURE
        if last.startswith(prompts.BOX):
            return str(self._box(call))
        if last.startswith(prompts.GROUND):
            return str(self._where(call, last.removeprefix(prompts.GROUND).split("\n")[0]))
        return self._worded(self.answer(call))

    def scores(self, call: Call) -> list[float]:
        """Likely is what is true."""
        said, last = call.options["continuations"], last_text(call)
        if tuple(said) == ("Yes", "No"):
            return [LIKELY, UNLIKELY] if self.yes(call, last) else [UNLIKELY, LIKELY]
        if last.startswith(prompts.PARTS):
            return [math.log(share) for share in self.parts(call, last.removeprefix(prompts.PARTS))]
        answer = self.answer(call)
        true = (plain(answer), plain(self._worded(answer)))
        return [LIKELY if plain(text) in true else UNLIKELY for text in said]

    # What is true

    def yes(self, call: Call, prompt: str) -> bool:
        if prompt.startswith(prompts.VISIBLE):
            return self.answer(call) != CANNOT_TELL
        closer = prompt.startswith(prompts.CLOSER)
        assert closer or prompt.startswith(prompts.SEE), prompt
        name = prompt.removeprefix(prompts.CLOSER if closer else prompts.SEE)
        items = [item for item in self.scene.items if item.name == name]
        return any(pixels >= (0 if closer else SMALLEST) for item in items for pixels in self._sides(call, item))

    def answer(self, call: Call) -> str:
        """The answer that the views of this call support."""
        targets = [self.scene.items[i] for i in self.question.targets]
        if self.question.kind == "read":
            [item] = targets
            share = item.text_height / item.size
            seen = any(pixels * share >= LEGIBLE for pixels in self._sides(call, item))
        else:
            seen = all(any(pixels >= SMALLEST for pixels in self._sides(call, item)) for item in targets)
        return self.question.answer if seen else CANNOT_TELL

    def parts(self, call: Call, name: str) -> list[float]:
        """In which of nine parts the thing is: surely where it is seen, by a hunch where it is too small for that."""
        [shown] = call.views
        box, width = self.region(shown), self.views.picture.size.width
        for item in self.scene.items:
            x, y = item.x * width, item.y * width
            if item.name != name or not (box.left <= x < box.right and box.top <= y < box.bottom):
                continue
            part = 1 + int(3 * (y - box.top) / box.height) * 3 + int(3 * (x - box.left) / box.width)
            right = 0.91 if any(pixels >= SMALLEST for pixels in self._sides(call, item)) else HUNCH
            return [right if number == part else (1 - right) / 9 for number in range(10)]
        return [0.91, *[0.01] * 9]

    def _where(self, call: Call, name: str) -> list[int]:
        """The named thing in the one view shown; all of it where it cannot be seen."""
        [shown] = call.views
        width, view = self.views.picture.size.width, as_view(self.views.record(shown.key))
        for item in self.scene.items:
            if item.name == name and any(pixels >= SMALLEST for pixels in self._sides(call, item)):
                box = Box(*(round(edge * width) for edge in item.box))
                return [round(n) for n in box_to_model(box, "thousand", view)]
        return [0, 0, 1000, 1000]

    def _sides(self, call: Call, item: Item) -> Iterator[float]:
        """The item's side in pixels, in every view of the call that shows all of it."""
        width = self.views.picture.size.width
        x0, y0, x1, y1 = (round(edge * width) for edge in item.box)
        for pixels in call.views:
            box = self.region(pixels)
            if self.views.record(pixels.key.split()[0]).get("blank"):
                continue
            if box.left <= x0 and box.top <= y0 and x1 <= box.right and y1 <= box.bottom:
                yield item.size * width / box.width * pixels.image.width

    def region(self, pixels: Pixels) -> Box:
        """What a view shows; a marked view is named after the one that was marked."""
        left, top, right, bottom = self.views.record(pixels.key.split()[0])["box"]
        return Box(left, top, right, bottom)

    def _worded(self, answer: str) -> str:
        return chr(ord("A") + self.options.index(answer)) if self.options else answer

    def _box(self, call: Call) -> list[int]:
        """Where the answer lies, in the whole; all of it where that cannot be seen."""
        seen = [item for item in self._targets() if any(p >= SMALLEST for p in self._sides(call, item))]
        if not seen or len(seen) < len(self._targets()):
            return [0, 0, 1000, 1000]
        width = self.views.picture.size.width
        corners = [round(edge * width) for item in seen for edge in item.box]
        box = Box(min(corners[::4]), min(corners[1::4]), max(corners[2::4]), max(corners[3::4]))
        return [round(n) for n in box_to_model(box, "thousand", as_view(self.views.whole()))]

    def _targets(self) -> list[Item]:
        return [self.scene.items[i] for i in self.question.targets]

    def _zoom(self, call: Call) -> Reply:
        arguments = {"bbox_2d": self._box(call), "label": "it", "img_idx": 0}
        asked = ToolCall(f"call-{len(call.views)}", ZOOM_IN, orjson.dumps(arguments).decode())
        return Reply("", "tool_calls", reply_of("x").tokens, tool_calls=(asked,))


def last_text(call: Call) -> str:
    """The last thing said to the model; nothing where it is only shown something."""
    texts = [part.text for part in call.messages[-1].parts if not isinstance(part, Pixels)]
    return texts[-1] if texts else ""
