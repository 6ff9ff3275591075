"""Every error zoomagent raises, in two families.

    ZoomAgentError                  code, message: what, why, what to do next
    ├── ToolError                   told to the model; the run goes on
    │   ├── BoxInvalid              a box that names no part of the picture
    │   ├── MomentInvalid           a segment that names no part of the clip
    │   ├── ToolArgsInvalid         arguments that fit no tool
    │   └── OutputTruncated         the reply ended before the call did
    └── RunError                    stops the run; the caller sees its code
        ├── InputRefused            the picture or the question cannot be used           exit 65
        │   └── FetchRefused        a URL that may not be, or could not be, fetched      exit 65
        ├── ServerError             the model's server                                   exit 69
        │   ├── RateLimited         it said "later"                                      exit 75
        │   ├── ModelUnavailable    it did not answer in time, or answered 5xx           exit 75
        │   ├── ModelNotFound       it does not serve that model                         exit 69
        │   ├── OutsideWorld        it knows one world only, and this is another         exit 69
        │   ├── ModelBlind          the model takes no pictures                          exit 69
        │   ├── Unauthorized        it refused the key, or wants one                     exit 69
        │   ├── ContextTooLong      the conversation does not fit                        exit 69
        │   └── BadServerResponse   it answered with something that is no answer         exit 69
        ├── StoreError              results or checkpoints could not be kept             exit 75
        ├── SettingInvalid          a setting that cannot be                             exit 2
        └── PolicyFileRefused       weights in a format that can run code                exit 78

Codes are stable; messages are for people. No message holds a path, an address or a key: `public` is safe to show.
What a message quotes may come from anywhere, so every message is made storable here.
"""

from zoomagent.text import storable


class ZoomAgentError(Exception):
    """Base of both families. `code` is stable API; the text says what, why, and what to do."""

    code = "error"
    exit_status = 1
    retryable = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(storable(message))
        if code is not None:
            self.code = code

    @property
    def public(self) -> str:
        return f"{self.code}: {self}"


class ToolError(ZoomAgentError):
    """The model's mistake: its text is sent back to the model, and the run goes on. Code of its own: ocr_missing, where
    nothing is installed to read text with."""

    code = "tool_error"


class BoxInvalid(ToolError):
    code = "box_invalid"


class MomentInvalid(ToolError):
    code = "moment_invalid"


class ToolArgsInvalid(ToolError):
    code = "tool_args_invalid"


class OutputTruncated(ToolError):
    code = "output_truncated"


class RunError(ZoomAgentError):
    """Not the model's mistake: the run ends with this error's code. Codes of its own: budget_calls,
    budget_visual_tokens, budget_seconds, budget_depth, no_answer, cut_in_thought, tool_loop, cancelled,
    no_likelihoods, tagger_failed, tool_collapse, other_picture, split_leak, bug."""

    code = "run_error"


class InputRefused(RunError):
    """Codes: unsupported_image, deep_jpeg, tiff_needs_large, needs_password, corrupt_image, too_many_pixels,
    too_many_bytes, bad_aspect, bad_data_url, bad_frame, metadata_too_large, decode_timeout, decode_crashed,
    decode_memory, path_not_allowed, not_a_file, bad_question, bad_region, bad_state, bad_resume, bad_input,
    picture_closed, data_missing, data_ambiguous, data_corrupt. Of videos: unsupported_video, corrupt_video,
    video_too_long, too_many_streams. Of sounds: unsupported_sound, corrupt_sound, no_sound,
    sound_too_long. The page's: unknown_picture, unknown_run, unknown_tile, unknown_view. The endpoint's:
    invalid_request, not_allowed, not_found."""

    code = "input_refused"
    exit_status = 65


class FetchRefused(InputRefused):
    """Codes: url_not_allowed, fetch_timeout, fetch_too_large, fetch_incomplete, fetch_failed, fetch_tls."""

    code = "url_not_allowed"


class ServerError(RunError):
    """`refused` are the parameters of the request that the server named as what it does not take."""

    code = "server_error"
    exit_status = 69
    refused: frozenset[str] = frozenset()


class RateLimited(ServerError):
    code = "rate_limited"
    exit_status = 75
    retryable = True


class ModelUnavailable(ServerError):
    code = "model_unavailable"
    exit_status = 75
    retryable = True


class ModelNotFound(ServerError):
    code = "model_not_found"


class OutsideWorld(ServerError):
    """A model that knows one world only was asked about another: its answer would mean nothing."""

    code = "outside_world"


class ModelBlind(ServerError):
    code = "model_blind"


class Unauthorized(ServerError):
    code = "unauthorized"


class ContextTooLong(ServerError):
    code = "context"


class BadServerResponse(ServerError):
    code = "bad_server_response"


class StoreError(RunError):
    """Codes: folder_in_use, store_full, store_read_only, store_busy, store_io, checkpoint_corrupt, run_already_active,
    run_mismatch."""

    code = "store_error"
    exit_status = 75


class SettingInvalid(RunError, ValueError):
    """A setting of the user's that cannot be: told in full, exit 2."""

    code = "setting_invalid"
    exit_status = 2


class PolicyFileRefused(RunError):
    code = "policy_file_refused"
    exit_status = 78
