"""Pre-train an encoder by predicting hidden k-mers.

    accelerate launch training/pretrain.py --preset small --data DIR --output OUT

In: a data set and settings (`PretrainConfig`). Out, in OUT: the full model folder, `encoder/`
(plain BERT), `best/`, `checkpoints/`, `settings.json`, `history.json`, `loss.png`. The same script
runs on a laptop and, through `accelerate launch`, on many devices; `--resume` continues a killed
run, to the same weights as without the interruption. The loop is in `training.run.loop`.
Guarded by tests/training/run/test_pretrain_loop.py and tests/training/run/test_pretrain_resume.py.
"""

from barcodemae.training.run.claim import Resume, run_folder
from barcodemae.training.run.command_line import command_from_settings, run_as_script
from barcodemae.training.run.loop import TrainingResult, finish, train
from barcodemae.training.run.pretrain_run import prepare_pretraining
from barcodemae.training.run.pretrain_settings import PretrainConfig


def pretrain(config: PretrainConfig, resume: Resume = False) -> TrainingResult:
    """Pre-train a model on DNA barcodes.

    Args:
        config: The settings.
        resume: True to continue from the newest checkpoint in `config.output`, if there is one;
            or the checkpoint to continue from.

    Returns:
        The model folder and the history.

    Raises:
        SettingsError: `config.output` holds a run, and `resume` is False or its settings differ;
            or another run is writing there.
        TrainingError: The loss is no longer a finite number.
        CheckpointError: A checkpoint cannot be written or read.
    """
    with run_folder(config):
        run = prepare_pretraining(config, resume=resume)
        train(run)
        return finish(run)


if __name__ == "__main__":
    run_as_script(command_from_settings(PretrainConfig, pretrain))
