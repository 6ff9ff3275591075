"""The reward function that verl loads by path: LFPC's, as `zoomagent train rl` has it."""

from zoomagent.training.rl.verl_core import compute_score as compute_score
