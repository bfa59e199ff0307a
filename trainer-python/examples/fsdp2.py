"""A training with FSDP2 (``fully_shard``), watched: three lines of it are gradflow's.

    torchrun --nproc-per-node 2 examples/fsdp2.py --bootstrap-servers localhost:9092

After the reduction each rank holds a slice of each gradient; all ranks publish theirs, and NormJob puts them together.
"""

from __future__ import annotations

import small
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

import gradflow


def train(chosen: small.argparse.Namespace) -> float:
    """The loss of the last step."""
    rank = dist.get_rank()
    torch.manual_seed(chosen.seed)
    model = small.SmallLanguageModel().to(torch.bfloat16 if chosen.bf16 else torch.float32)
    fault = small.Fault(chosen, rank, model)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),), mesh_dim_names=("dp_shard",))
    precision = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if chosen.amp else MixedPrecisionPolicy()
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=precision)
    fully_shard(model, mesh=mesh, mp_policy=precision)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    reference = small.Reference(chosen.reference, rank)
    batches = small.batches(rank, chosen.seed)
    loss = torch.zeros(())

    # 1. After the model is sharded.
    watch = gradflow.watch(
        model, optimizer=optimizer, run=chosen.run, bootstrap_servers=chosen.bootstrap_servers, max_norm=1.0
    )
    for step in range(chosen.steps):
        fault.begin(step)
        if fault.is_silent():
            watch.close()
        for micro in range(chosen.accumulate):
            model.set_requires_gradient_sync(micro == chosen.accumulate - 1)
            loss = small.loss_of(model, next(batches)) * fault.factor()
            (loss / chosen.accumulate).backward()
        reference.write(step, model)

        # 2. After backward, before clipping; of micro-batches after the last one.
        watch.before_step(loss=loss)

        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        watch.after_clip(norm.full_tensor())  # optional: how much was clipped
        optimizer.step()
        optimizer.zero_grad()
        if rank == 0 and step % 20 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)

    # 3. At the end of a whole training.
    watch.close(finished=True)
    return loss.item()


if __name__ == "__main__":
    dist.init_process_group("gloo")
    train(small.arguments())
    dist.destroy_process_group()
