"""A training with DDP, watched: three lines of it are gradflow's.

    torchrun --nproc-per-node 2 examples/ddp.py --bootstrap-servers localhost:9092

Rank 0 decides when the attempt began, and the others hear it from the store they met in. All ranks publish their
gradients before the reduction, rank 0 publishes the reduced one.
"""

from __future__ import annotations

import contextlib
import itertools

import small
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import gradflow


def train(chosen: small.argparse.Namespace) -> float:
    """The loss of the last step."""
    rank = dist.get_rank()
    torch.manual_seed(chosen.seed)
    bare = small.SmallLanguageModel().to(torch.bfloat16 if chosen.bf16 else torch.float32)
    model = DistributedDataParallel(bare)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=chosen.amp)
    fault = small.Fault(chosen, rank, bare)
    reference = small.Reference(chosen.reference, rank)
    checkpoint = small.Checkpoint(chosen.checkpoint, rank, bare, optimizer)
    first = checkpoint.restore()
    batches = itertools.islice(small.batches(rank, chosen.seed), first * chosen.accumulate, None)
    loss = torch.zeros(())

    # 1. After the model is wrapped.
    watch = gradflow.watch(
        model,
        optimizer=optimizer,
        run=chosen.run,
        bootstrap_servers=chosen.bootstrap_servers,
        max_norm=1.0,
        first_step=first,
    )
    for step in range(first, chosen.steps):
        fault.begin(step)
        if fault.is_silent():
            watch.close()
        for micro in range(chosen.accumulate):
            last = micro == chosen.accumulate - 1
            with contextlib.nullcontext() if last else model.no_sync():
                with torch.autocast("cpu", torch.bfloat16, enabled=chosen.amp):
                    loss = small.loss_of(model, next(batches)) * fault.factor()
                scaler.scale(loss / chosen.accumulate).backward()
        reference.write(step, bare, scaler.get_scale())

        # 2. After backward, before clipping; of micro-batches after the last one.
        watch.before_step(loss=loss, scaler=scaler)

        scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        watch.after_clip(norm)  # optional: how much was clipped, and whether the trainer measures the same norm
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        if checkpoint.save_if_due(step):
            watch.checkpoint()  # optional: where an incident says to go back to
        if rank == 0 and step % 20 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)

    # 3. At the end of a whole training.
    watch.close(finished=True)
    return loss.item()


if __name__ == "__main__":
    dist.init_process_group("gloo")
    train(small.arguments())
    dist.destroy_process_group()
