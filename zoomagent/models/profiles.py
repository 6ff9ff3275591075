"""What a model family expects: coordinate space, patch multiple, pixel and image-count limits, tool dialect.

A profile is data. `fit` turns a view's aspect into the size at which the model's own resize changes
nothing, so that what we think it saw is what it saw. Measured overrides come from `doctor.py`; a user's
from `ZOOMAGENT_PROFILE='{"space": "pixels", "max_pixels": 500000}'` or an argument. Unknown names get
`UNKNOWN`, which promises little. Left out: profiles in files and folders (`loading.py`).

Sources. Qwen2-VL and Qwen2.5-VL: preprocessor_config.json (patch 14, merge 2, min 3136, max 12845056
pixels), `smart_resize` in transformers, boxes in pixels of the resized picture (Qwen2.5-VL README; Qwen2-VL
writes 0-1000). Qwen3-VL and Qwen3.5: preprocessor_config.json (patch 16, merge 2, 65536 to 16777216
pixels), 0-1000 (its cookbook). InternVL 2 to 3.5: `dynamic_preprocess` (1 to 12 tiles of 448, plus a
thumbnail; 256 tokens each), 0-1000 (README, grounding). LLaVA-1.5: CLIP 336, padded to a square, 576
tokens, 0-1 of the square (its train.py). LLaVA-NeXT and OneVision: tiles of 336 or 384, 0-1 of the picture.
`max_pixels` is below the hard limits where a model card recommends a budget (1280 visual tokens for Qwen).
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from zoomagent.errors import ModelNotFound, SettingInvalid
from zoomagent.files import check_json, read_json
from zoomagent.geometry import Size, Space, fit_size
from zoomagent.moments import TimeSpace
from zoomagent.strategy import Task

ToolDialect = Literal["openai", "hermes", "mini-o3", "p2r", "none"]
BoxedWords = Literal["phrase", "json", "none"]
Grid = Literal["cells", "tiles", "fixed"]
Taught = Literal["none", "spectrogram", "audio"]
Frames = Literal["sheet", "timed"]


@dataclass(frozen=True)
class Profile:
    """Sizes in pixels of the rendered view. `multiple` is patch size x spatial merge (one visual token's side), or the
    side of a tile. `grid` says how visual tokens are counted: one per cell; `tokens_per_tile` per tile plus a
    thumbnail; or `tokens_per_tile` for any view. The whole picture is shown first with at most `whole_pixels`, crops
    with at most `crop_pixels`, and what a search looks at with `max_pixels` (0: these too); crops have a margin of
    `crop_margin` times the located square's side, unless the caller says otherwise. `box_step` is how finely the model
    was taught to write boxes, in thousandths. `tools` are offered by name (`zoomagent/tools/definitions.py`),
    `clip_tools` besides where the picture is made of a clip's frames; reading is left to those who ask for it.
    `alternates`: two turns of one role that follow each other are told as one. `boxed_words`: how it writes boxes into
    a description: behind each phrase, as JSON, or not at all. `times` is how it writes times of a clip, `frames` how it
    is shown a segment that it asks for: as a sheet, or frame by frame, each behind its time. `extra_body` is what its
    server is sent besides (`{"enable_thinking": false}`). A model without `letters` is not shown a question's options:
    it answers in words, and these decide which option it means. `visible_pixels` is the side, in pixels of a view, from
    which a thing counts as seen there (0: half a token). `weights` is the hash of the weights that a server is said to
    serve, by which an arbiter knows them ("": not known; a server's own word is none). `routes` names the part of the
    model that is asked for each task: a served model, an adapter in this process; {}: one for all. `hint` is the token
    that stands before tags (LION's soft prompt; "": none), with its id, `hint_id`: it is never generated. `sound`:
    whether it was taught to read the spectrogram of a sound, as far as is known, or hears: its server then gets the
    sound too (`input_audio`)."""

    family: str
    space: Space
    multiple: int
    min_pixels: int
    max_pixels: int
    max_aspect: float = 100.0
    min_side: int = 56
    max_side: int = 16384
    max_images: int = 8
    tool_dialect: ToolDialect = "openai"
    images_in_tool_messages: bool = False
    likelihood_of_reply: bool = True
    likelihood_of_given: bool = True
    grid: Grid = "cells"
    tokens_per_tile: int = 0
    whole_pixels: int = 0
    crop_pixels: int = 0
    crop_margin: float = 0.25
    letters: bool = True
    visible_pixels: int = 0
    box_step: int = 1
    tools: tuple[str, ...] = (
        "image_zoom_in_tool",
        "image_zoom_out_tool",
        "image_search_tool",
        "image_verify_tool",
        "image_ground_tool",
    )
    clip_tools: tuple[str, ...] = ("video_zoom_tool",)
    alternates: bool = True
    boxed_words: BoxedWords = "phrase"
    times: TimeSpace = "seconds"
    frames: Frames = "sheet"
    extra_body: Mapping[str, Any] = field(default_factory=dict, hash=False)
    weights: str = ""
    routes: Mapping[str, str] = field(default_factory=dict, hash=False)
    hint: str = ""
    hint_id: int = 0
    sound: Taught = "none"
    source: str = ""

    def fit(self, size: Size, max_pixels: int | None = None) -> Size:
        """The size at which to render a view shaped like `size`: the model's own resize leaves it as it
        is."""
        limit = self.max_pixels if max_pixels is None else min(max_pixels, self.max_pixels)
        return fit_size(
            size,
            multiple=self.multiple,
            min_pixels=self.min_pixels,
            max_pixels=max(limit, self.min_pixels),
            min_side=self.min_side,
            max_side=self.max_side,
            max_aspect=self.max_aspect,
        )

    @property
    def smallest_visible(self) -> int:
        """Side in pixels of a view from which a thing in it counts as seen; smaller ones may be missed."""
        return self.visible_pixels or max(1, self.multiple // 2)

    def offered(self, options: Sequence[str]) -> Sequence[str]:
        """The options as this model is asked: all of them, or none."""
        return options if self.letters else ()

    def visual_tokens(self, size: Size) -> int:
        """Tokens a view of this size costs in the prompt."""
        if self.grid == "fixed":
            return self.tokens_per_tile
        cells = -(-size.width // self.multiple) * -(-size.height // self.multiple)
        if self.grid == "cells":
            return cells
        return self.tokens_per_tile * (cells + 1 if cells > 1 else 1)


UNKNOWN = Profile(
    family="unknown",
    space="thousand",
    multiple=28,
    min_pixels=256 * 28 * 28,
    max_pixels=1024 * 1024,
    max_aspect=10.0,
    min_side=112,
    max_side=2048,
    max_images=4,
    source="no family known: sizes every server takes; measure with `zoomagent doctor`",
)
QWEN2_VL = Profile(
    family="qwen2-vl",
    space="thousand",
    multiple=28,
    min_pixels=56 * 56,
    max_pixels=1280 * 28 * 28,
    source="Qwen2-VL-7B-Instruct preprocessor_config.json; README (boxes 0-1000)",
)
QWEN2_5_VL = replace(
    QWEN2_VL,
    family="qwen2.5-vl",
    boxed_words="json",
    space="pixels",
    source="Qwen2.5-VL-7B-Instruct preprocessor_config.json; README (absolute pixels of the resized picture)",
)
QWEN3_VL = Profile(
    family="qwen3-vl",
    boxed_words="json",
    frames="timed",
    space="thousand",
    multiple=32,
    min_pixels=256 * 256,
    max_pixels=1280 * 32 * 32,
    source="Qwen3-VL-8B-Instruct preprocessor_config.json; Qwen3-VL cookbook (relative 0-1000); its processor (times)",
)
NANO = Profile(
    family="nano",
    space="thousand",
    multiple=16,
    min_pixels=16 * 16,
    max_pixels=192 * 192,
    max_aspect=8.0,
    min_side=16,
    max_side=512,
    tool_dialect="hermes",
    clip_tools=(),
    letters=False,
    alternates=False,
    boxed_words="none",
    box_step=10,
    source="defaults; the packaged checkpoint's own configuration decides",
)
PACKAGED = replace(
    NANO,
    min_pixels=32 * 32,
    max_pixels=256 * 256,
    max_side=16384,
    whole_pixels=128 * 128,
    crop_pixels=80 * 80,
    crop_margin=0.6,
    visible_pixels=4,
    tools=("image_zoom_in_tool", "image_search_tool"),
    source="the packaged checkpoint's own files, for a server that serves it",
)
INTERNVL = Profile(
    family="internvl",
    space="thousand",
    multiple=448,
    min_pixels=448 * 448,
    max_pixels=12 * 448 * 448,
    max_aspect=12.0,
    min_side=448,
    max_side=12 * 448,
    grid="tiles",
    tokens_per_tile=256,
    source="InternVL2/2.5/3 README: dynamic_preprocess, max_num 12, boxes 0-1000",
)
LLAVA_1_5 = Profile(
    family="llava-1.5",
    space="square",
    multiple=1,
    min_pixels=56 * 56,
    max_pixels=336 * 336,
    max_aspect=20.0,
    max_side=336,
    max_images=2,
    tool_dialect="none",
    grid="fixed",
    tokens_per_tile=576,
    source="LLaVA-1.5 (CLIP ViT-L/14-336, image_aspect_ratio pad); DualFocus eval code",
)
LLAVA_NEXT = Profile(
    family="llava-next",
    space="unit",
    multiple=336,
    min_pixels=336 * 336,
    max_pixels=4 * 336 * 336,
    max_aspect=3.0,
    min_side=336,
    max_side=3 * 336,
    max_images=2,
    tool_dialect="none",
    grid="tiles",
    tokens_per_tile=576,
    source="llava-v1.6 config.json: image_grid_pinpoints 336x672 to 1008x336, anyres",
)
LLAVA_ONEVISION = replace(
    LLAVA_NEXT,
    family="llava-onevision",
    multiple=384,
    min_pixels=384 * 384,
    max_pixels=6 * 384 * 384,
    max_aspect=6.0,
    min_side=384,
    max_side=6 * 384,
    max_images=8,
    tokens_per_tile=729,
    source="llava-onevision-qwen2 config.json: SigLIP 384, anyres_max_9, image_grid_pinpoints up to 6x6",
)

MINI_O3 = replace(
    QWEN2_5_VL,
    family="mini-o3",
    space="unit",
    tool_dialect="mini-o3",
    source="Mini-o3 README: Qwen2.5-VL-7B, calls between <grounding> tags, 0-1 of the source",
)
PIXEL_REASONER = replace(
    QWEN2_5_VL,
    family="pixel-reasoner",
    space="unit",
    source="PixelReasoner README: Qwen2.5-VL-7B, its tool crop_image_normalized takes 0-1",
)
UI_TARS_1 = replace(QWEN2_VL, family="ui-tars", source="UI-TARS README: Qwen2-VL, 0-1000")
UI_TARS_1_5 = replace(
    QWEN2_5_VL, family="ui-tars-1.5", source="UI-TARS issues 125 and 157: Qwen2.5-VL, pixels; points only"
)
GLM_V = replace(UNKNOWN, family="glm-v", source="GLM-V README (boxes 0-1000); sizes as of an unknown model")
MINICPM_V = replace(
    UNKNOWN, family="minicpm-v", source="MiniCPM-V issue 982 (boxes 0-1000); sizes as of an unknown model"
)
DEEPSEEK_VL2 = replace(UNKNOWN, family="deepseek-vl2", source="DeepSeek-VL2 README (boxes 0-999); sizes as unknown")
GEMINI = replace(
    UNKNOWN,
    family="gemini",
    space="thousand-yx",
    source="Gemini API, image understanding: box_2d is [ymin, xmin, ymax, xmax], 0-1000; sizes as of an unknown model",
)

# A rule is matched with whole parts of the lower-cased name, in which "_", ".", ":" and "/" count as "-". A model that
# was made of another one goes before it. What no rule names is unknown: a name that only contains one's letters is
# another model. docs/models.md has the same table in words.
_RULES: tuple[tuple[str, Profile], ...] = (
    ("mini-?o3", MINI_O3),
    ("pixel-?reasoner", PIXEL_REASONER),
    ("deepeyes(?:v?2)?", QWEN2_5_VL),
    ("ui-?tars-1-5", UI_TARS_1_5),
    ("ui-?tars", UI_TARS_1),
    ("qwen-?3-?vl", QWEN3_VL),
    ("qwen-?3-[56]", QWEN3_VL),
    ("qwen-?2-?5-?vl", QWEN2_5_VL),
    ("qwen-?2-?vl", QWEN2_VL),
    ("internvl-?[23]?(?:-[058])?", INTERNVL),
    ("llava-onevision(?:-1-5)?", LLAVA_ONEVISION),
    ("llava-(?:next|v?1-6)", LLAVA_NEXT),
    ("llava-v?1-5", LLAVA_1_5),
    ("dualfocus", LLAVA_1_5),
    ("glm-4-[1-9]v", GLM_V),
    (r"minicpm-[vo](?:-\d+)*", MINICPM_V),
    ("deepseek-vl-?2", DEEPSEEK_VL2),
    (r"gemini-\d+(?:-\d+)*", GEMINI),
)
_FAMILIES = tuple((re.compile(rf"(?:^|-){rule}(?=-|$)"), profile) for rule, profile in _RULES)


def profile_for(model_name: str, overrides: Mapping[str, Any] | None = None) -> Profile:
    """The profile of a served or checkpoint name, with overrides: argument, else `ZOOMAGENT_PROFILE`, else
    none. Only the name "nano" itself is the packaged model's."""
    name = re.sub(r"[_.:/\\]", "-", model_name.lower())
    found = PACKAGED if name == "nano" else next((profile for rule, profile in _FAMILIES if rule.search(name)), UNKNOWN)
    return override(found, environment_overrides() if overrides is None else overrides)


def own_overrides(folder: Path) -> dict[str, Any]:
    """What the folder's `zoomagent.json`, where there is one, says of the profile."""
    file = folder / "zoomagent.json"
    try:
        content = read_json(file.read_bytes()) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"The checkpoint's zoomagent.json cannot be read ({type(error).__name__}).") from error
    if not isinstance(content, dict):
        raise ModelNotFound("The checkpoint's zoomagent.json holds no JSON object of profile fields.")
    return content


def whole_side(profile: Profile, side: int) -> int:
    """Pixels a side at which a square picture of this side is shown as the whole."""
    return profile.fit(Size(side, side), profile.whole_pixels or None).width


def environment_name() -> str:
    """The file, folder or family that `ZOOMAGENT_PROFILE` names; "" where it holds fields, or nothing."""
    text = os.environ.get("ZOOMAGENT_PROFILE", "").strip()
    return "" if text.startswith(("{", "[")) else text


def environment_overrides() -> dict[str, Any]:
    """The fields set in `ZOOMAGENT_PROFILE`, a JSON object; none where it names a file, a folder or a family."""
    text = "" if environment_name() else os.environ.get("ZOOMAGENT_PROFILE", "")
    try:
        value = read_json(text or "{}")
    except ValueError as error:
        raise SettingInvalid(
            f"ZOOMAGENT_PROFILE is no JSON ({error}). Write a JSON object of profile fields."
        ) from None
    if not isinstance(value, dict):
        raise SettingInvalid(f"ZOOMAGENT_PROFILE must be a JSON object of profile fields, not {str(value)[:80]!r}.")
    return value


_CHOICES: dict[str, tuple[str, ...]] = {
    "space": get_args(Space),
    "tool_dialect": get_args(ToolDialect),
    "grid": get_args(Grid),
    "sound": get_args(Taught),
}


_MOST: dict[str, float] = {
    "multiple": 4096,
    "max_aspect": 10_000,
    "min_side": 1 << 16,
    "max_side": 1 << 16,
    "max_images": 10_000,
    "visible_pixels": 1 << 10,
    "crop_margin": 4,
    "box_step": 1000,
}
MOST_PIXELS = 1 << 28
"""Of every other number (ours): pixels of a view. No model takes more."""

MOST_BITS = 64
"""Of any whole number (ours): longer ones cannot be written into a message, however wrong they are."""

_MAY_BE_ZERO = ("hint_id", "tokens_per_tile", "whole_pixels", "crop_pixels", "crop_margin", "visible_pixels")


def override(profile: Profile, values: Mapping[str, Any]) -> Profile:
    """`profile` with some fields replaced; SettingInvalid names the field that is unknown or of the wrong
    kind."""
    made = replace(profile, **check_fields(values))
    # Views of every shape have a size that the limits allow, and one that is soon found.
    if made.max_side > 4096 * made.multiple:
        raise SettingInvalid(f"'max_side' must be at most 4096 times 'multiple', not {made.max_side!r}.")
    try:
        for shape in (Size(1, 1), Size(1000, 1), Size(1, 1000)):
            made.fit(shape)
    except ValueError as error:
        raise SettingInvalid(
            f"'multiple' and the limits of pixels and sides leave no size for a view: {error}"
        ) from None
    return made


def check_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as a profile takes them, each checked by itself. Whether they fit together shows with a profile."""
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for name, value in given.items():
        if name not in {field.name for field in fields(UNKNOWN)}:
            known = ", ".join(field.name for field in fields(UNKNOWN))
            raise SettingInvalid(f"A profile has no field {name!r}. Its fields are: {known}.")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise SettingInvalid(f"{name!r} must be one of {', '.join(_CHOICES[name])}, not {value!r}.")
        kind = type(getattr(UNKNOWN, name))
        fits = isinstance(value, int | float) if kind is float else isinstance(value, kind)
        fits = fits and not (isinstance(value, int) and value.bit_length() > MOST_BITS)  # else it cannot be told
        if isinstance(value, tuple):
            fits = fits and all(isinstance(item, str) for item in value)
        if not fits or (isinstance(value, bool) and kind is not bool):
            shown = (
                "so long a number" if isinstance(value, int) and value.bit_length() > MOST_BITS else repr(value)[:80]
            )
            raise SettingInvalid(f"{name!r} must be {kind.__name__}, not {shown}.")
        if name == "routes" and not all(
            task in get_args(Task) and isinstance(to, str) and to for task, to in value.items()
        ):
            raise SettingInvalid(f"'routes' must name a model for each of {', '.join(get_args(Task))}, not {value!r}.")
        if name == "extra_body":
            check_json(value, "'extra_body' of a profile")
        least = 0 if name in _MAY_BE_ZERO else 1
        most = _MOST.get(name, MOST_PIXELS)
        if isinstance(value, int | float) and not isinstance(value, bool) and not least <= value <= most:
            raise SettingInvalid(f"{name!r} must be from {least} to {most:g}, not {str(value)[:80]}.")
    return given
