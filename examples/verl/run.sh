#!/bin/sh
# LFPC's numbers on 8 GPUs (verl 0.9 in an environment of its own, zoomagent installed beside it without extras).
# Stage 2: other data, and custom_reward_function.reward_kwargs.stage=box.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
python -m verl.trainer.main_ppo \
    algorithm.adv_estimator=grpo algorithm.use_kl_in_reward=False \
    data.train_files="$1/train.parquet" data.val_files="$1/train.parquet" data.image_key=images \
    data.train_batch_size=256 data.max_prompt_length=4096 data.max_response_length=10240 data.return_raw_chat=True \
    actor_rollout_ref.model.path="${2:-Qwen/Qwen2.5-VL-7B-Instruct}" \
    actor_rollout_ref.actor.optim.lr=1e-6 actor_rollout_ref.actor.use_kl_loss=False \
    actor_rollout_ref.actor.entropy_coeff=0 \
    actor_rollout_ref.rollout.name=vllm actor_rollout_ref.rollout.n=16 \
    actor_rollout_ref.rollout.multi_turn.enable=True actor_rollout_ref.rollout.multi_turn.format=hermes \
    actor_rollout_ref.rollout.multi_turn.max_assistant_turns=5 \
    actor_rollout_ref.rollout.multi_turn.max_parallel_calls=4 \
    actor_rollout_ref.rollout.multi_turn.max_tool_response_length=1024 \
    actor_rollout_ref.rollout.multi_turn.tool_config_path="$HERE/tools.yaml" \
    reward.custom_reward_function.path="$HERE/reward.py" \
    reward.custom_reward_function.name=compute_score \
    trainer.total_training_steps=80 trainer.n_gpus_per_node=8
