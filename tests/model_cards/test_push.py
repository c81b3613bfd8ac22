"""Pushing: one commit that holds the whole folder, or an error; never a part reported as done."""

import hashlib

import pytest
import torch

from barcodemae.cli import main
from barcodemae.model_cards import push as push_module
from barcodemae.model_cards.model_folder import ModelFolder
from barcodemae.model_cards.push import (
    CONNECTION_ERROR,
    NUM_ATTEMPTS,
    Patience,
    PushError,
    check_published,
    plan_push,
    push,
    retry,
)
from barcodemae.training.export.folders import export


# huggingface_hub hands httpx a file in a way that httpx warns about.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

FULL, NATIVE = "lab/tiny", "lab/tiny-encoder"


def names_in(folder, *, without=()):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).as_posix().startswith(without)
    }


def push_both(folder, *options):
    return main(["push", str(folder), FULL, "--native", NATIVE, *options])


def test_both_artefacts_arrive_in_one_commit_each_and_the_revisions_are_printed(
    carded, hub, capsys
):
    assert push_both(carded) == 0
    printed = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    for repo, folder in ((FULL, carded), (NATIVE, carded / "encoder")):
        assert len(hub.repos[repo].commits) == 2  # the Hub's own first one and ours
        revision, files = hub.head(repo)
        assert printed[repo] == revision
        expected = names_in(folder, without=("encoder/",))
        assert set(files) == expected
        assert all(files[name] == (folder / name).read_bytes() for name in expected)
        assert not hub.repos[repo].private


def test_without_a_name_for_the_encoder_only_the_full_model_is_published(carded, hub):
    assert main(["push", str(carded), FULL]) == 0
    assert set(hub.repos) == {FULL}


def test_a_new_repository_is_private_if_asked_for(carded, hub):
    assert push_both(carded, "--private") == 0
    assert all(repository.private for repository in hub.repos.values())


def test_a_dry_run_lists_every_file_with_size_and_hash_and_sends_nothing(carded, hub, capsys):
    assert push_both(carded, "--dry-run") == 0
    header, *lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert header == ["repository", "file", "bytes", "sha256"]
    found = {(repo, name): (int(size), digest) for repo, name, size, digest in lines}
    expected = {}
    for repo, folder in ((FULL, carded), (NATIVE, carded / "encoder")):
        for name in names_in(folder, without=("encoder/",)):
            content = (folder / name).read_bytes()
            expected[repo, name] = (len(content), hashlib.sha256(content).hexdigest())
    assert found == expected
    assert len(lines) == len(expected)
    assert hub.requests == []


def test_pushing_the_same_again_makes_no_commit_and_names_the_same_revision(carded, hub, capsys):
    assert push_both(carded) == 0
    first = capsys.readouterr().out
    assert push_both(carded) == 0
    assert capsys.readouterr().out == first
    assert len(hub.repos[FULL].commits) == 2


def test_a_second_push_replaces_what_changed_and_removes_what_is_gone(
    carded, hub, tiny_model, tokenizer
):
    (carded / "figures").mkdir()
    (carded / "figures" / "map.png").write_bytes(b"\x89PNG old")
    assert push_both(carded) == 0
    (carded / "figures" / "map.png").unlink()
    with torch.no_grad():
        tiny_model.head.bias.fill_(1.0)
    export(tiny_model, tokenizer, carded)
    assert main(["card", str(carded), "--repo-id", FULL, "--native", NATIVE]) == 0
    assert push_both(carded) == 0
    _, files = hub.head(FULL)
    assert "figures/map.png" not in files
    assert files["model.safetensors"] == (carded / "model.safetensors").read_bytes()
    assert len(hub.repos[FULL].commits) == 3


def test_records_of_the_run_are_not_published(carded, hub):
    for name in ("settings.json", "history.json"):
        (carded / name).write_text("{}")
    assert push_both(carded) == 0
    assert not {"settings.json", "history.json"} & set(hub.head(FULL)[1])


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "not logged in: run `hf auth login` or set HF_TOKEN"),
        (403, "may not write there"),
        (409, "someone else is writing to it"),
        (413, "too large"),
    ],
)
@pytest.mark.parametrize("place", [r"preupload", r"objects/batch", r"/commit/"])
def test_a_refusal_ends_the_push_in_one_line_and_nothing_is_reported_as_done(
    carded, hub, capsys, status, said, place
):
    hub.fail(place, status)
    assert push_both(carded) == 2
    out, err = capsys.readouterr()
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"barcodemae: error: {FULL}: not published: uploading failed")
    assert f"HTTP {status}: " in last
    assert said in last
    assert hub.head(FULL)[1] == {}
    assert NATIVE not in hub.repos


def test_a_wrong_token_is_named_before_anything_is_sent(carded, hub, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert push_both(carded) == 2
    assert "HTTP 401: not logged in" in capsys.readouterr().err
    assert hub.repos == {}


PLACES = [r"repos/create", r"/tree/main", r"preupload", r"objects/batch", r"PUT /large",
          r"/verify", r"/commit/", r"/tree/\w{40}"]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("status", [429, 503])
def test_temporary_errors_are_retried(carded, hub, place, status):
    hub.fail(place, status, times=2)
    revision = push(plan_push(ModelFolder(carded / "encoder"), NATIVE))
    assert all(fault.times == 0 for fault in hub.faults)
    assert hub.head(NATIVE)[0] == revision
    assert len(hub.repos[NATIVE].commits) == 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("cut_after", [False, True], ids=["unheard", "unanswered"])
def test_a_broken_connection_is_retried_without_a_second_commit(carded, hub, place, cut_after):
    hub.fail(place, cut_after=cut_after)
    revision = push(plan_push(ModelFolder(carded / "encoder"), NATIVE))
    assert all(fault.times == 0 for fault in hub.faults)
    assert hub.head(NATIVE)[0] == revision
    assert len(hub.repos[NATIVE].commits) == 2
    assert set(hub.head(NATIVE)[1]) == names_in(carded / "encoder")


@pytest.mark.parametrize("status", [429, 503, None], ids=["429", "503", "cut"])
def test_a_lasting_error_ends_the_push_and_running_it_again_completes_it(
    carded, hub, capsys, status
):
    hub.fail(rf"{FULL}/commit/", status, times=NUM_ATTEMPTS)
    assert push_both(carded) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{FULL}: not published" in err
    assert "run the same command again" in err
    assert hub.head(FULL)[1] == {}
    assert push_both(carded) == 0
    assert set(hub.head(FULL)[1]) == names_in(carded, without=("encoder/",))
    uploads = [request for request in hub.requests if request.startswith("PUT /large")]
    assert len(uploads) == len(set(uploads))  # what had arrived was not sent twice


def test_if_only_the_encoder_fails_only_the_full_model_is_reported_as_done(carded, hub, capsys):
    hub.fail(rf"{NATIVE}/commit/", 403)
    assert push_both(carded) == 2
    out, err = capsys.readouterr()
    assert out == f"{FULL}\t{hub.head(FULL)[0]}\n"
    assert f"{NATIVE}: not published" in err


def test_a_commit_that_differs_from_what_was_sent_is_an_error(carded, hub):
    plan = plan_push(ModelFolder(carded), FULL)
    push(plan)
    revision, files = hub.head(FULL)
    for name in ("config.json", "model.safetensors"):
        damaged = hub.repos[FULL].commit({**files, name: files[name] + b" "}, "damaged")
        with pytest.raises(PushError, match=rf"{name} in commit {damaged} differs"):
            check_published(api(), plan, damaged)
    without = {name: content for name, content in files.items() if name != "handler.py"}
    with pytest.raises(PushError, match=r"handler\.py is not in commit"):
        check_published(api(), plan, hub.repos[FULL].commit(without, "less"))
    with pytest.raises(PushError, match=r"also holds weights\.bin"):
        check_published(api(), plan, hub.repos[FULL].commit({**files, "weights.bin": b"?"}, "more"))
    hub.repos[FULL].commit({**files, ".gitattributes": b""}, "the Hub's own")
    check_published(api(), plan, hub.head(FULL)[0])
    check_published(api(), plan, revision)


def api():
    from huggingface_hub import HfApi

    return HfApi()


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "lab/ti ny"])
def test_an_invalid_repository_name_is_refused(carded, hub, name):
    with pytest.raises(PushError, match=r"OWNER|[Rr]epo id"):
        plan_push(ModelFolder(carded), name)


def test_offline_mode_is_named(carded, hub, monkeypatch, capsys):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert push_both(carded) == 2
    assert "offline mode is on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("create", {"name": "tiny"}, "creating it failed: the Hub's answer lacks"),
        ("create", [], "creating it failed: the Hub's answer lacks"),
        ("commit", {"commitUrl": 5}, "uploading failed: the Hub's answer lacks"),
        ("commit", {}, "uploading failed: the Hub's answer lacks"),
    ],
)
def test_an_answer_that_lacks_something_is_one_line(
    carded, hub, monkeypatch, capsys, method, answer, words
):
    def reply(self, *given, **named):
        return answer, 200

    monkeypatch.setattr(hub.RequestHandlerClass, method, reply)
    assert push_both(carded) == 2
    out, err = capsys.readouterr()
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert words in last
    assert ("the commit may have been made all the same" in last) == (method == "commit")
    assert f"/{FULL}/commits/main" in last or method == "create"


def test_where_a_commit_may_have_been_made_it_is_said(carded, hub, monkeypatch, capsys):
    monkeypatch.setattr(push_module, "NUM_ATTEMPTS", 1)
    hub.fail(rf"{FULL}/commit/", cut_after=True)
    assert push_both(carded) == 2
    assert "the commit may have been made all the same" in capsys.readouterr().err
    assert push_both(carded) == 0
    assert len(hub.repos[FULL].commits) == 2


def test_all_retries_of_a_push_end_after_half_a_minute(carded, hub, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(push_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        push_module.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )

    def fail():
        raise RuntimeError from CONNECTION_ERROR("no answer")

    patience = Patience()
    for _ in range(100):
        with pytest.raises(PushError, match="no connection"):
            retry(FULL, "asking", fail, patience)
    assert 0 < clock[0] <= 30
