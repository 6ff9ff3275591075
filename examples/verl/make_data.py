"""Rows of `zoomagent data trajectories` or `train select-resolution` as verl reads them.

    python examples/verl/make_data.py runs/gap runs/verl --model qwen2.5-vl

Writes OUT/train.parquet and prints the folder that belongs into `images` of tools.yaml. Needs zoomagent[train], not
verl.
"""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from zoomagent.models.profiles import profile_for
from zoomagent.training.rl.environment import WITHOUT_MODEL, EnvConfig
from zoomagent.training.rl.rows import load_rows
from zoomagent.training.rl.verl_core import to_verl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="qwen2.5-vl", help="whose profile: sizes and coordinate space")
    parser.add_argument("--split", default="train")
    given = parser.parse_args()
    found = load_rows(given.data, given.split)
    config = EnvConfig(profile_for(given.model, {}), found.images, WITHOUT_MODEL)
    given.out.mkdir(parents=True, exist_ok=True)
    rows = [to_verl(row, config) for row in found.rows]
    pq.write_table(pa.Table.from_pylist(rows), given.out / f"{given.split}.parquet")
    print(f"{len(rows)} rows in {given.out}; images: {found.images}")


if __name__ == "__main__":
    main()
