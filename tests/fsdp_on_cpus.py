"""`zoomagent` with accelerate's FSDP on processors.

    accelerate launch --config_file FILE tests/fsdp_on_cpus.py train sft …

accelerate 1.x turns FSDP on for accelerators only, and trains with DDP on processors, whatever the file says. All else
of it runs on processors as well, with gloo. So its state is told that it has an accelerator; nothing else is changed.
"""

from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType

begin = PartialState.__init__


def begin_as_accelerator(self: PartialState, *arguments: Any, **more: Any) -> None:
    begin(self, *arguments, **more)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


PartialState.__init__ = begin_as_accelerator

if __name__ == "__main__":
    from zoomagent.cli.main import main

    main()
