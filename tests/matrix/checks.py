"""What a user of transformers does with the folders, without the package: one function for each.

    python -I checks.py FOLDERS OUT.json [CHECK ...]

Run by `run.py` in the environment of each supported release, and by test_checks.py in that of the
tests, in an empty working directory with an empty HF_MODULES_CACHE. FOLDERS holds `plain` and
`framed`, two exported models, `classes`, a classifier, and `barcodes.txt`. Writes check -> "ok",
"no torch" or the first line of what went wrong.
"""

import importlib.util
import json
import logging
import os
import shutil
import sys
import traceback
from importlib.abc import MetaPathFinder
from pathlib import Path


class Absent(MetaPathFinder):
    """Make `import barcodemae` fail however the package is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "barcodemae":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


TRUSTED = {"trust_remote_code": True}
HEADS = ("AutoModelForPreTraining", "AutoModelForMaskedLM", "AutoModelForSequenceClassification")


def tokenizer_of(place, **options):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(place, **(TRUSTED | options))


def model_of(place, kind="AutoModel", **options):
    import transformers

    return getattr(transformers, kind).from_pretrained(place, **(TRUSTED | options)).eval()


def refused(action, *words):
    """The message of the ValueError that an action must end in, which must have some words."""
    message = None
    try:
        action()
    except ValueError as error:
        message = str(error)
    assert message is not None, "nothing was refused"
    assert all(word in message for word in words), message


def close(first, second, tolerance=1e-5):
    import torch

    torch.testing.assert_close(first, second, atol=tolerance, rtol=0)


def pooled(outputs, mask):
    weights = mask.unsqueeze(-1).float()
    return (outputs.last_hidden_state * weights).sum(1) / weights.sum(1)


def tokenizer_reads_alike_on_every_way_in(given):
    for name in ("plain", "framed"):
        tokenizer = tokenizer_of(given.folders / name)
        piece = given.barcodes[0][62:180]
        ids = tokenizer(piece)["input_ids"]
        assert tokenizer.encode(piece) == ids
        assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize(piece)) == ids
        assert tokenizer(text_target=piece)["input_ids"] == ids
        assert tokenizer(list(piece), is_split_into_words=True)["input_ids"] == ids
        assert tokenizer([piece, given.barcodes[1]])["input_ids"][0] == ids  # not padded
        if hasattr(tokenizer, "encode_plus"):
            assert tokenizer.encode_plus(piece)["input_ids"] == ids
            assert tokenizer.batch_encode_plus([piece])["input_ids"] == [ids]
        both = tokenizer(piece, text_target=piece)
        assert both["labels"] == both["input_ids"] == ids
        assert len(tokenizer(piece * 9)["input_ids"]) <= tokenizer.model_max_length
        refused(lambda read=tokenizer: read("A"), "fewer than k")
        refused(lambda read=tokenizer, text=piece: read([text], [text]), "second text")


def options_that_would_shift_kmers_are_refused(given):
    tokenizer = tokenizer_of(given.folders / "framed")
    piece = given.barcodes[0][120:]
    refused(lambda: tokenizer(piece, truncation=True, max_length=10), "starts at token")
    refused(lambda: tokenizer(piece, padding_side="left", padding=True), "padding_side")
    refused(lambda: tokenizer_of(given.folders / "framed", padding_side="left")(piece), "right")
    refused(lambda: tokenizer_of(given.folders / "plain", truncation_side="left")(piece), "right")
    refused(lambda: tokenizer.pad({"input_ids": [[5]]}, padding_side="left"), "padding_side")


def framed_text_needs_no_code(given):
    from transformers import PreTrainedTokenizerFast

    ours = tokenizer_of(given.folders / "framed")
    stored = given.folders / "framed/encoder/tokenizer.json"
    plain = PreTrainedTokenizerFast(tokenizer_file=str(stored))
    pieces = [text[start:] for start, text in enumerate(given.barcodes)]
    assert plain(ours.framed_text(pieces))["input_ids"] == ours(pieces)["input_ids"]
    assert plain(pieces)["input_ids"] == [[] for _ in pieces]  # never placed, so not read


def datasets_map_gives_rows_of_their_own_length(given):
    import datasets

    rows = datasets.Dataset.from_dict({"sequence": [*given.barcodes[:4], "ACGTTTACG"]})
    for name in ("plain", "framed"):
        tokenizer = tokenizer_of(given.folders / name)
        mapped = rows.map(lambda batch, read=tokenizer: read(batch["sequence"]), batched=True)
        assert len(mapped[4]["input_ids"]) == 3
        assert len(mapped[0]["input_ids"]) == len(given.barcodes[0]) // 3


def auto_classes_open_and_compute_in_fp32(given):
    import torch

    for name in ("plain", "framed"):
        batch = tokenizer_of(given.folders / name)(given.barcodes[:3], return_tensors="pt")
        for kind in ("AutoModel", *HEADS):
            model = model_of(given.folders / name, kind)
            assert model.dtype == torch.float32
            assert type(model).__module__.startswith("transformers_modules.")
            assert model(**batch)[0].isfinite().all()
        encoder = model_of(given.folders / name / "encoder", trust_remote_code=False)
        mask = batch["attention_mask"]
        expected = pooled(model_of(given.folders / name)(**batch), mask)
        close(pooled(encoder(**batch), mask), expected)


def saved_and_loaded_and_saved_again(given):
    for kind, place in [
        *((kind, "framed") for kind in ("AutoModel", *HEADS)),
        (HEADS[2], "classes"),
    ]:
        tokenizer, model = (
            tokenizer_of(given.folders / place),
            model_of(given.folders / place, kind),
        )
        for turn in ("once", "twice"):
            folder = given.scratch / f"{place}-{kind}-{turn}"
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            code = {path.name for path in (given.folders / place).glob("*.py")} - {"handler.py"}
            assert code <= {path.name for path in folder.glob("*.py")}, "code is missing"
            assert {path.stat().st_mode & 0o077 for path in folder.glob("*.safetensors")} != {0}
            again = model_of(folder, kind)
            batch = tokenizer_of(folder)(given.barcodes[:2], return_tensors="pt")
            close(again(**batch)[0], model(**batch)[0])
            model = again


def pushed_to_a_hub(given):
    os.environ["HF_TOKEN"] = given.hub_token
    model = model_of(given.folders / "framed", HEADS[0])
    model.push_to_hub("lab/pushed", token=given.hub_token)
    tokenizer_of(given.folders / "framed").push_to_hub("lab/pushed", token=given.hub_token)
    batch = tokenizer_of("lab/pushed")(given.barcodes[:2], return_tensors="pt")
    close(model_of("lab/pushed", HEADS[0])(**batch)[0], model(**batch)[0])


def arguments(folder, **options):
    """TrainingArguments that say and send nothing."""
    from transformers import TrainingArguments

    quiet = {"report_to": [], "disable_tqdm": True, "use_cpu": True, "logging_steps": 1}
    return TrainingArguments(str(folder), **(quiet | options))


def labelled(given, tokenizer):
    return [
        dict(tokenizer(text), labels=number % 3) for number, text in enumerate(given.barcodes[:16])
    ]


def trainer_saves_two_checkpoints_and_resumes(given):
    from transformers import DataCollatorWithPadding, Trainer

    place = given.folders / "classes"
    tokenizer = tokenizer_of(place)
    rows = labelled(given, tokenizer)

    def trainer():
        return Trainer(
            model_of(place, HEADS[2]),
            arguments(
                given.scratch / "trainer", max_steps=4, save_steps=2, per_device_train_batch_size=4
            ),
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
        )

    trainer().train()
    folder = given.scratch / "trainer"
    assert {path.name for path in folder.iterdir()} >= {"checkpoint-2", "checkpoint-4"}
    shutil.rmtree(folder / "checkpoint-4")
    trainer().train(resume_from_checkpoint=True)
    batch = tokenizer_of(folder / "checkpoint-4")(given.barcodes[:2], return_tensors="pt")
    assert model_of(folder / "checkpoint-4", HEADS[2])(**batch).logits.isfinite().all()


def gradient_accumulation_changes_nothing(given):
    from transformers import DataCollatorWithPadding, Trainer

    place = given.folders / "classes"
    tokenizer = tokenizer_of(place)
    losses = []
    for size, steps in ((16, 1), (4, 4)):
        trainer = Trainer(
            model_of(place, HEADS[2], hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
            arguments(
                given.scratch / f"accumulated{steps}",
                max_steps=1,
                per_device_train_batch_size=size,
                gradient_accumulation_steps=steps,
                save_strategy="no",
            ),
            train_dataset=labelled(given, tokenizer),
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        losses.append(trainer.train().training_loss)
    assert abs(losses[0] - losses[1]) < 1e-3, losses


def evaluating_the_pre_training_model_gives_a_loss(given):
    import torch
    from transformers import Trainer

    tokenizer = tokenizer_of(given.folders / "framed")
    batch = tokenizer(given.barcodes[:4], return_tensors="pt")
    rows = []
    for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
        labels = torch.full_like(ids, -100)
        labels[5] = ids[5]
        hidden = ids.clone()
        hidden[5] = tokenizer.mask_token_id
        rows.append({"input_ids": hidden, "attention_mask": mask, "labels": labels})
    model = model_of(given.folders / "framed", HEADS[0])
    trainer = Trainer(model, arguments(given.scratch / "evaluated"), eval_dataset=rows)
    found = trainer.evaluate()
    assert found["eval_loss"] > 0, found
    one = {name: value[None] for name, value in rows[0].items()}
    without = {name: value for name, value in one.items() if name != "labels"}
    assert model(**one).logits.shape == model(**without).logits.shape


def every_head_takes_embeddings(given):
    batch = tokenizer_of(given.folders / "plain")(given.barcodes[:1], return_tensors="pt")
    for kind in ("AutoModel", *HEADS):
        model = model_of(given.folders / "plain", kind)
        embeds = model.get_input_embeddings()(batch["input_ids"])
        assert model(inputs_embeds=embeds)[0].isfinite().all()


def rows_without_a_token_are_refused(given):
    import torch

    ids = torch.tensor([[5, 6], [1, 1]])
    mask = torch.tensor([[1, 1], [0, 0]])
    for kind in ("AutoModel", *HEADS):
        model = model_of(given.folders / "plain", kind)
        refused(
            lambda head=model: head(input_ids=ids, attention_mask=mask), "rows 1", "no attended"
        )


def padding_without_a_mask_is_warned_of(given):
    import torch
    from transformers.utils import logging as library_logging

    messages = []
    listener = logging.Handler()
    listener.emit = lambda record: messages.append(record.getMessage())
    library_logging.get_logger("transformers").addHandler(listener)
    model = model_of(given.folders / "plain")
    for _ in range(2):
        model(torch.tensor([[5, 6, 1]]))
    assert sum("attention_mask" in message for message in messages) == 1, messages


def encoder_and_classifier_export_as_one_graph(given):
    import torch

    for kind, place in (("AutoModel", "framed"), (HEADS[2], "classes")):
        model = model_of(given.folders / place, kind)
        batch = dict(tokenizer_of(given.folders / place)(given.barcodes[:2], return_tensors="pt"))
        batch["input_ids"][0, 7] = 0  # a hidden k-mer
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        graph = torch.export.export(model, (), batch).module()
        expected = model(**batch)
        for run in (compiled, graph):
            found = run(**batch)
            if kind == "AutoModel":
                assert not found.attention_mask[0, 7]
                close(
                    pooled(found, found.attention_mask), pooled(expected, expected.attention_mask)
                )
            else:
                close(found.logits, expected.logits)


def lora_has_default_targets_and_trains(given):
    from peft import LoraConfig, get_peft_model

    for place, options in (
        (given.folders / "classes", TRUSTED),
        (given.folders / "framed/encoder", {}),
    ):
        kind = HEADS[2] if options else "AutoModel"
        model = get_peft_model(model_of(place, kind), LoraConfig(r=2))
        adapted = [name for name, value in model.named_parameters() if value.requires_grad]
        assert adapted
        assert all("query" in name or "value" in name for name in adapted), adapted


def sentence_transformers_embed_and_train(given):
    from sentence_transformers import SentenceTransformer, losses

    place = str(given.folders / "framed/encoder")
    encoder = SentenceTransformer(place, device="cpu", **TRUSTED)
    batch = tokenizer_of(place)(given.barcodes[:4], return_tensors="pt")
    model = model_of(given.folders / "framed")
    expected = pooled(model(**batch), batch["attention_mask"])
    close(encoder.encode(given.barcodes[:4], convert_to_tensor=True), expected.detach())
    loss = losses.MultipleNegativesRankingLoss(encoder)
    features = [encoder.tokenize(given.barcodes[:4]), encoder.tokenize(given.barcodes[4:8])]
    loss(features, None).backward()
    encoder.save(str(given.scratch / "sentences"))
    again = SentenceTransformer(str(given.scratch / "sentences"), device="cpu", **TRUSTED)
    close(again.encode(given.barcodes[:4], convert_to_tensor=True), expected.detach())


def pipelines_answer(given):
    import torch
    from transformers import pipeline

    full = str(given.folders / "framed")
    embed = pipeline("dna-embedding", model=full, **TRUSTED)
    batch = tokenizer_of(full)(given.barcodes[:4], return_tensors="pt")
    expected = pooled(model_of(full)(**batch), batch["attention_mask"])
    close(torch.tensor(embed(given.barcodes[:4], batch_size=2)), expected.detach())
    classify = pipeline("text-classification", model=str(given.folders / "classes"), **TRUSTED)
    long_and_short = [given.barcodes[0] * 8, given.barcodes[1]]
    assert all(0 < found["score"] <= 1 for found in classify(long_and_short, batch_size=2))
    refused(lambda: classify(["A", given.barcodes[0]], batch_size=2), "fewer than k")
    extract = pipeline("feature-extraction", model=f"{full}/encoder", **TRUSTED)
    assert len(extract(given.barcodes[0])[0]) == len(given.barcodes[0]) // 3


def fill_mask_gives_one_answer_for_each_mask(given):
    from transformers import pipeline

    fill = pipeline("fill-mask", model=str(given.folders / "framed"), **TRUSTED)
    barcode = given.barcodes[0]
    for place in (60, 61, 62):
        answers = fill(barcode[:place] + "[MASK]" + barcode[place + 3 :])
        assert len(answers) == 5
        for answer in answers:
            assert len(answer["token_str"]) == 3
            filled = barcode[:place] + answer["token_str"] + barcode[place + 3 :]
            assert answer["sequence"] == filled
    two = fill(barcode[:60] + "[MASK]" + barcode[63:91] + "[MASK]" + barcode[94:])
    assert [len(answers) for answers in two] == [5, 5]


CHECKS = {
    check.__name__: check
    for check in (
        tokenizer_reads_alike_on_every_way_in,
        options_that_would_shift_kmers_are_refused,
        framed_text_needs_no_code,
        datasets_map_gives_rows_of_their_own_length,
        auto_classes_open_and_compute_in_fp32,
        saved_and_loaded_and_saved_again,
        pushed_to_a_hub,
        trainer_saves_two_checkpoints_and_resumes,
        gradient_accumulation_changes_nothing,
        evaluating_the_pre_training_model_gives_a_loss,
        every_head_takes_embeddings,
        rows_without_a_token_are_refused,
        padding_without_a_mask_is_warned_of,
        encoder_and_classifier_export_as_one_graph,
        lora_has_default_targets_and_trains,
        sentence_transformers_embed_and_train,
        pipelines_answer,
        fill_mask_gives_one_answer_for_each_mask,
    )
}


class Given:
    """What the checks work on."""

    def __init__(self, folders, scratch, hub_token):
        self.folders, self.scratch, self.hub_token = folders, scratch, hub_token
        self.barcodes = (folders / "barcodes.txt").read_text().split()


def local_hub():
    """The server of the tests of `push`, which is one file."""
    place = Path(__file__).parents[1] / "model_cards" / "local_hub.py"
    spec = importlib.util.spec_from_file_location("local_hub", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome(name, given):
    """Run one check and say how it ended."""
    if importlib.util.find_spec("torch") is None:
        return "no torch"
    given.scratch = Path.cwd() / name
    given.scratch.mkdir()
    try:
        CHECKS[name](given)
    except Exception as error:
        traceback.print_exc()
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return "ok"


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent())
    folders, out, *names = sys.argv[1:]
    module = local_hub()
    with module.LocalHub() as server:
        os.environ["HF_ENDPOINT"] = server.url  # before huggingface_hub is imported
        given = Given(Path(folders), Path.cwd(), module.TOKEN)
        found = {}
        for name in names or CHECKS:
            found[name] = outcome(name, given)
            Path(out).write_text(json.dumps(found, indent=1))  # what is done counts, come what may
    assert not [name for name in sys.modules if name.partition(".")[0] == "barcodemae"]
