"""`python -m training pretrain` and `distill`: run, resume, log."""

from __future__ import annotations

import argparse
import contextlib
import copy
import itertools
import math
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Union, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.utils.data import DataLoader, Dataset

from training.arguments import minutes, not_negative, positive
from training.files import make_folder

from .averaged import Batch
from .config import ConfigError, PretrainConfig, make_source
from .distill import Distillation
from .masked import MaskedPretraining
from .module import Pretraining, require_finite
from .pictures import reconstruction_picture
from .stream import VALIDATION_STREAM, Stream, mixed_seed

MODEL_FILE = "model.pt"
BEST_FILE = "best.pt"
Learner = Union[Pretraining, MaskedPretraining, Distillation]
LEARNERS: dict[str, type[Learner]] = {
    "alise": Pretraining,
    "ubarn": MaskedPretraining,
    "distill": Distillation,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--config", type=Path, required=True, help="YAML file")
    parser.add_argument("--out", type=Path, default=Path("runs/pretrain"), help="folder of the run")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--max-minutes", type=minutes, help="stop after that time, checkpoint kept")
    parser.add_argument(
        "--workers", type=not_negative, default=0, help="processes that make batches"
    )
    parser.add_argument("--threads", type=positive, help="CPU threads of PyTorch")


def run(args: argparse.Namespace) -> int:
    """Train, and say where the model is."""
    if args.threads:
        torch.set_num_threads(args.threads)
    config = PretrainConfig.read(args.config)
    if args.command == "distill" and config.method != "distill":
        raise ConfigError(f"{args.config} names no teacher; write method: distill and teacher")
    module = train(
        config,
        args.out,
        resume=args.resume,
        max_minutes=args.max_minutes,
        workers=args.workers,
    )
    print(f"{args.out / MODEL_FILE}: {module.global_step} steps")
    return 0


def train(
    config: PretrainConfig,
    out: Path,
    *,
    resume: Path | None = None,
    max_minutes: float | None = None,
    workers: int = 0,
    progress: bool = True,
) -> Learner:
    """Run a pre-training; `out` receives logs, a picture, `last.ckpt` and the model files.

    A run that is resumed from a checkpoint of a validation step ends with the weights that it would
    have had without the break: optimiser, schedule, averaged weights, random draws and the stream
    of batches go on. From a checkpoint in between, the batches are others, never old ones (several
    workers then bring the same ones in another order).

    Several GPUs of one machine are used as they are found; started by torchrun, all that it names.

    Args:
        config: what to do.
        out: folder.
        resume: checkpoint of a run before.
        max_minutes: stop after that time.
        workers: processes that make batches.
        progress: show a progress bar.

    Raises:
        ConfigError: a source, the beginning, the checkpoint or the number of workers is not what it
            should be.
        OutputError: the folder cannot be made.
        DivergedError: the loss is no number any more.
    """
    if workers and config.validate_every % workers:
        # They would be in different segments of the stream at a checkpoint.
        raise ConfigError(
            f"validate_every is {config.validate_every}, no multiple of {workers} workers: a run "
            "that is resumed would see batches twice. Change one of the two."
        )
    make_folder(out)
    lightning.seed_everything(config.seed, verbose=False)
    if resume is not None:
        # The checkpoint holds all weights: the file that they once began from may be gone.
        config = replace(config, init_from=None, concentrate=False)
    module = LEARNERS[config.method](config)
    done = 0 if resume is None else steps_of(resume, module)
    # Made once: every validation sees the same series.
    held_out = validation_batches(config)
    if isinstance(module, Distillation):
        module.measure(held_out)
    gpu = torch.cuda.is_available()
    trainer = lightning.Trainer(
        max_steps=config.max_steps,
        max_time=timedelta(minutes=max_minutes) if max_minutes else None,
        accelerator="auto",
        # torchrun says how many processes there are; otherwise every GPU that is found.
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", 0)) or "auto",
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", 1)),
        # Every process validates on all batches: shared out, some would count twice in the mean.
        use_distributed_sampler=False,
        precision="bf16-mixed" if gpu else "32-true",
        gradient_clip_val=config.gradient_clip,
        limit_val_batches=len(held_out),
        val_check_interval=config.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        enable_progress_bar=progress,
        enable_model_summary=False,
        logger=loggers(out, done),
        callbacks=[
            ModelCheckpoint(
                out,
                filename="last",
                every_n_train_steps=config.validate_every,
                enable_version_counter=False,
                save_on_train_epoch_end=True,
            ),
            LearningRateMonitor("step"),
            KeepModel(out, held_out[0], config.window, resumed=resume is not None),
        ],
    )
    train_batches = DataLoader(
        Stream(config.train, config.seed, config.validate_every, done, trainer.global_rank),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    trainer.fit(
        module,
        train_batches,
        DataLoader(cast("Dataset[Batch]", held_out), batch_size=None),
        ckpt_path=str(resume) if resume else None,
        weights_only=False,
    )
    trainer.save_checkpoint(out / "last.ckpt")
    if trainer.is_global_zero:
        module.save_model(out / MODEL_FILE)
    return module


def steps_of(checkpoint: Path, module: Learner) -> int:
    """Return the steps after which a checkpoint of the same model was written.

    Raises:
        ConfigError: it is no checkpoint, or one of another model.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=False)
        done, state = int(content["global_step"]), content["state_dict"]
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ConfigError(f"--resume: {checkpoint} cannot be read: {error.strerror}.") from error
    except Exception as error:  # whatever torch.load meets in a file of another kind
        raise ConfigError(
            f"--resume: {checkpoint} is no checkpoint of a run, or only a part of one: give its "
            "last.ckpt (a model.pt is a beginning: init_from)."
        ) from error
    expected = {name: value.shape for name, value in module.state_dict().items()}
    if {name: value.shape for name, value in state.items()} != expected:
        raise ConfigError(
            f"--resume: {checkpoint} is of another model than the configuration asks for; give the "
            "configuration that it was begun with."
        )
    return done


def validation_batches(config: PretrainConfig) -> list[Batch]:
    """Return the series that a run is validated on."""
    source = dict(config.validation)
    count = int(source.pop("batches", 4))
    stream = make_source(source, mixed_seed(config.seed, VALIDATION_STREAM))
    return list(itertools.islice(stream, count))


def loggers(out: Path, done: int) -> list[Logger]:
    """CSV always, TensorBoard where it is installed; a resumed run keeps the log before it."""
    version = f"from_step_{done}" if done else ""
    found: list[Logger] = [CSVLogger(out, name="log", version=version)]
    with contextlib.suppress(ModuleNotFoundError):
        found.append(TensorBoardLogger(out, name="tensorboard", version=""))
    return found


class KeepModel(Callback):
    """After every validation: the averaged model, the best so far, a picture of what it predicts.

    Args:
        out: folder of the run.
        batch: its first series are drawn.
        window: t_w.
        resumed: the best model in the folder is this run's own.
    """

    def __init__(self, out: Path, batch: Batch, window: int, resumed: bool) -> None:
        self.out = out
        self.batch = batch
        self.window = window
        self.best = math.inf
        if resumed and (out / BEST_FILE).exists():
            content = torch.load(out / BEST_FILE, map_location="cpu", weights_only=True)
            self.best = float(content["facts"]["validation_loss"])

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write them, on the first process only."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, (Pretraining, MaskedPretraining, Distillation))
        loss = float(trainer.callback_metrics["val/reconstruction"])
        require_finite(loss, trainer.global_step)
        pl_module.save_model(self.out / MODEL_FILE)
        if loss < self.best:
            self.best = loss
            pl_module.save_model(self.out / BEST_FILE, validation_loss=loss)
        if isinstance(pl_module, MaskedPretraining):
            return  # It has no vectors from which any day could be drawn.
        model = copy.deepcopy(pl_module.kept_model).cpu().eval()
        reconstruction_picture(model, self.batch, self.window, self.out / "reconstructions.png")
