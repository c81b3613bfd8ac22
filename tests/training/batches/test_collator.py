"""The collator for `transformers.Trainer` makes the batches of our own training."""

import pytest
import torch
from transformers import Trainer, TrainingArguments

from barcodemae import BarcodeMAECollator
from barcodemae.errors import SettingsError
from barcodemae.training.batches.masking import Masking


def test_a_batch_has_hidden_kmers_labels_and_a_masked_lead(framed_tokenizer, relatives):
    batch = BarcodeMAECollator(framed_tokenizer)([relatives[0], relatives[1][61:]])
    lead = -(-61 // 3)
    assert not batch["attention_mask"][1, :lead].any()
    assert (batch["labels"][1, :lead] == -100).all()
    hidden = batch["input_ids"] == framed_tokenizer.mask_token_id
    assert torch.equal(hidden & batch["attention_mask"].bool(), batch["labels"] != -100)
    assert (batch["labels"][0] != -100).sum() == 40  # half of 80 k-mers


@pytest.mark.parametrize(
    "make", [lambda text, _: {"sequence": text}, lambda text, read: read(text)]
)
def test_letters_and_ids_give_the_same_batch(framed_tokenizer, relatives, make):
    collate = BarcodeMAECollator(framed_tokenizer, seed=3)
    expected = collate(relatives[:4])
    found = collate([make(text, framed_tokenizer) for text in relatives[:4]])
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_masks_are_new_each_time_or_fixed_by_a_seed(tokenizer, barcodes):
    fixed, free = BarcodeMAECollator(tokenizer, seed=0), BarcodeMAECollator(tokenizer)
    assert torch.equal(fixed(barcodes)["input_ids"], fixed(barcodes)["input_ids"])
    assert not torch.equal(free(barcodes)["input_ids"], free(barcodes)["input_ids"])
    torch.manual_seed(1)
    first = free(barcodes)["input_ids"]
    torch.manual_seed(1)
    assert torch.equal(free(barcodes)["input_ids"], first)


def test_spans_are_hidden_together(tokenizer, barcodes):
    torch.manual_seed(0)
    spans = BarcodeMAECollator(tokenizer, Masking(span_length=5))([barcodes[-1]])
    is_hidden = (spans["input_ids"][0] == 0).int()
    assert (is_hidden.diff() == 1).sum() <= 8  # single k-mers would make about a dozen runs


def test_rows_without_letters_or_ids_are_refused(tokenizer):
    with pytest.raises(SettingsError, match="remove_unused_columns"):
        BarcodeMAECollator(tokenizer)([{"label": 1}])


def test_trainer_trains_this_objective(tiny_model, tokenizer, barcodes, tmp_path):
    arguments = TrainingArguments(
        str(tmp_path), max_steps=3, per_device_train_batch_size=4, remove_unused_columns=False,
        report_to=[], disable_tqdm=True, save_strategy="no", use_cpu=True, learning_rate=1e-2,
        dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(
        tiny_model,
        arguments,
        train_dataset=barcodes,
        eval_dataset=barcodes,
        data_collator=BarcodeMAECollator(tokenizer),
    )
    before = tiny_model.head.weight.clone()
    assert trainer.train().training_loss > 0
    assert not torch.equal(tiny_model.head.weight, before)
    assert trainer.evaluate()["eval_loss"] > 0
