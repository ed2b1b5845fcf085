from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run, git, make_repository
from wtname import include
from wtname.git import Repository

IGNORED = ".env\n*.log\ncache/\nsecrets/\nlinked/\n"


def write(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{file}\n")


def listed(root: Path, *patterns: str) -> None:
    (root / ".worktreeinclude").write_text("\n".join(patterns) + "\n")


@pytest.fixture
def project(repo: Path) -> Path:
    """A repository with ignored files, tracked ones, and one that is neither."""
    (repo / ".gitignore").write_text(IGNORED)
    git("add", ".gitignore", cwd=repo)
    git("commit", "-q", "-m", "ignore", cwd=repo)
    write(repo, ".env", "a.log", "cache/x/y.bin", "cache/z.bin", "plain.txt", "deep/er/b.log", "deep/.env")
    return repo


def made(run: Run, *args: str) -> tuple[Path, str]:
    done = run("new", "--name", "x", *args)
    assert done.exit_code == 0, done.stderr
    return Path(done.stdout.strip()), done.stderr


def came(folder: Path) -> list[str]:
    """What is in a worktree beyond what git knows."""
    others = subprocess.run(["git", "ls-files", "-z", "--others"], cwd=folder, capture_output=True, check=True).stdout
    return sorted(path for path in os.fsdecode(others).split("\0") if path)


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        ([], []),
        (["# .env", ""], []),
        ([".env"], [".env", "deep/.env"]),
        (["/.env"], [".env"]),
        (["*.log", ".env"], [".env", "a.log", "deep/.env", "deep/er/b.log"]),
        (["cache/"], ["cache/x/y.bin", "cache/z.bin"]),
        (["cache/**/*.bin", "!cache/z.bin"], ["cache/x/y.bin"]),
        (["**/y.bin"], ["cache/x/y.bin"]),
        (["plain.txt", "README"], []),  # not ignored; tracked
        (["*"], [".env", "a.log", "cache/x/y.bin", "cache/z.bin", "deep/.env", "deep/er/b.log"]),
        (["nothing-like-it"], []),
    ],
)
def test_what_matches_and_is_ignored_comes_along(
    run: Run, project: Path, patterns: list[str], files: list[str]
) -> None:
    listed(project, *patterns)
    folder, said = made(run)
    assert came(folder) == files
    assert all((folder / file).read_text() == f"{file}\n" for file in files)
    size = sum(len(file) + 1 for file in files)
    assert said == (f"wtname: copied {len(files)} file{'s' * (len(files) != 1)} ({size} bytes)\n" if files else "")
    assert git("status", "--porcelain", cwd=folder) == ""


@pytest.mark.parametrize(
    ("config", "args", "count"),
    [("", [], 1), ("", ["--no-copy"], 0), ("false", [], 0), ("false", ["--copy"], 1), ("true", ["--dry-run"], None)],
)
def test_wanted_or_not(run: Run, project: Path, config: str, args: list[str], count: int | None) -> None:
    listed(project, "/.env")
    git("config", "wtname.copy", config, cwd=project)
    answer = json.loads(run("new", "--name", "x", "--json", *args).stdout)
    assert answer.get("copied") == count
    assert (Path(answer["path"]) / ".env").exists() is bool(count)


def test_no_list_costs_no_process(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(include, "matching", None)
    assert came(made(run)[0]) == []


def test_from_the_main_worktree_wherever_we_stand(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(project, "/.env")
    first, _ = made(run)
    (first / ".env").write_text("changed\n")
    listed(first, "nothing")
    monkeypatch.chdir(first)
    assert (made(run)[0] / ".env").read_text() == ".env\n"


def test_with_a_bare_repository_from_where_we_stand(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = project.parent / "hub"
    git("clone", "-q", "--bare", project, hub / ".bare")
    git("worktree", "add", "-q", hub / "main", "main", cwd=hub / ".bare")
    write(hub / "main", ".env")
    listed(hub / "main", ".env")
    monkeypatch.chdir(hub / ".bare")
    folder, said = made(run)
    assert (came(folder), said) == ([], "")
    monkeypatch.chdir(hub / "main")
    assert came(made(run)[0]) == [".env"]


def test_other_worktrees_and_repositories_in_its_midst_stay(run: Run, project: Path) -> None:
    with (project / ".gitignore").open("a") as ignore:
        ignore.write("trees/\nvendor/\n")
    git("commit", "-q", "-a", "-m", "more", cwd=project)
    git("worktree", "add", "-q", "-b", "one", project / "trees" / "one", cwd=project)
    make_repository(project / "vendor" / "lib")
    write(project, "trees/one/.env", "trees/note.log", "vendor/lib/.env")
    listed(project, "*")
    git("config", "wtname.path", "trees/{branch}", cwd=project)
    folder, _ = made(run)
    assert folder == project / "trees" / "wt-x"
    assert [file for file in came(folder) if file.startswith(("trees", "vendor"))] == ["trees/note.log"]


def test_odd_names(run: Run, project: Path) -> None:
    names = ["cache/-rf", "cache/a b/ü$(x).bin", "cache/line\nbreak", "cache/\\back", 'cache/"quoted"']
    write(project, *names)
    listed(project, "cache/", "!cache/z.bin", "!cache/x/")
    assert set(names) <= set(came(made(run)[0]))


@pytest.mark.skipif(os.name == "nt", reason="modes, links and sockets of POSIX")
def test_as_they_are(run: Run, project: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/secret")
    (project / "cache" / "link").symlink_to("../.env")
    (project / "cache" / "dangling.log").symlink_to("/nowhere")
    (project / "linked").symlink_to(tmp_path / "outside")
    (project / ".env").chmod(0o600)
    (project / "cache" / "z.bin").chmod(0o755)
    (project / "cache").chmod(0o700)
    os.utime(project / ".env", (1e9, 1e9))
    os.mkfifo(project / "cache" / "pipe.log")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(project / "cache")
        server.bind("s.log")
        os.chdir(here)
        listed(project, "*")
        folder, said = made(run)
    assert os.readlink(folder / "cache" / "link") == "../.env"
    assert os.readlink(folder / "cache" / "dangling.log") == "/nowhere"
    assert not (folder / "linked").is_dir()  # `linked/` in .gitignore means a folder, and a link is none
    assert not os.path.lexists(folder / "cache" / "pipe.log") and not os.path.lexists(folder / "cache" / "s.log")
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert (folder / ".env").stat().st_mtime == 1e9
    assert stat.S_IMODE((folder / "cache" / "z.bin").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "cache").stat().st_mode) == 0o700
    assert "not copied" not in said


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_never_through_a_link_and_never_over_what_is_there(run: Run, project: Path, tmp_path: Path) -> None:
    """In the commit that the new branch starts from, a folder of ours is a link that leads outside, another is a file,
    and a file of ours is there already."""
    outside = tmp_path / "outside"
    outside.mkdir()
    git("checkout", "-q", "-b", "hostile", cwd=project)
    git("rm", "-q", "--cached", ".gitignore", cwd=project)
    for name in ("secrets", "deep"):
        (project / name).rename(tmp_path / name) if (project / name).exists() else None
    (project / "secrets").symlink_to(outside)
    (project / "deep").write_text("a file\n")
    (project / ".env").write_text("theirs\n")
    git("add", "-f", "secrets", "deep", ".env", cwd=project)
    git("commit", "-q", "-m", "hostile", cwd=project)
    git("checkout", "-q", "-f", "main", cwd=project)
    write(project, ".env", "secrets/key", "secrets/sub/key", "deep/er/b.log", "a.log")
    listed(project, "*")
    folder, said = made(run, "--base", "hostile")
    assert list(outside.iterdir()) == []
    assert (folder / "deep").read_text() == "a file\n"
    assert (folder / ".env").read_text() == "theirs\n"
    assert (folder / "a.log").exists()
    assert "not copied: deep/er/b.log: a link or a file is in the place of its folder and 2 more" in said


@pytest.mark.parametrize("path", ["../x", "a/../../x", ".git/hooks/post-checkout", "a/.GIT/config", "/etc/x"])
def test_paths_that_lead_elsewhere(tmp_path: Path, path: str) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    write(tmp_path / "from", "a/b")
    if not path.startswith("/"):
        write(tmp_path / "from", path)
    before = sorted(tmp_path.rglob("*"))
    assert include._Copier(tmp_path / "from", tmp_path / "to").copy(path) is None
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="sockets of POSIX")
def test_what_is_no_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "from" / "folder").mkdir(parents=True)
    (tmp_path / "to").mkdir()
    monkeypatch.chdir(tmp_path / "from")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        copier = include._Copier(tmp_path / "from", tmp_path / "to")
        assert (copier.copy("socket"), copier.copy("folder")) == (None, None)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_link_is_no_list(run: Run, project: Path) -> None:
    listed(project.parent, "*")
    (project / ".worktreeinclude").symlink_to(project.parent / ".worktreeinclude")
    assert came(made(run)[0]) == []


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_no_room_keeps_the_worktree_and_says_so(project: Path) -> None:
    listed(project, "cache/", "*.log")
    (project / "cache" / "big.bin").write_bytes(b"x" * 300_000)
    code = (
        "import resource, signal\nresource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "from wtname.cli import main\nmain(['new', '--name', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True)
    folder = Path(done.stdout.strip())
    assert done.returncode == 0 and folder.is_dir()
    assert "not copied: cache/big.bin: File too large" in done.stderr
    assert "cache/big.bin" not in came(folder)  # nor half of it


def test_one_that_cannot_be_read_keeps_the_others(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(project, "cache/")
    really = os.open

    def refusing(path: str | Path, *args: int) -> int:
        if str(path).endswith("y.bin") and args[0] & os.O_WRONLY == 0:
            raise PermissionError(13, "Permission denied")
        return really(path, *args)

    monkeypatch.setattr(os, "open", refusing)
    folder, said = made(run)
    assert came(folder) == ["cache/z.bin"]
    assert "not copied: cache/x/y.bin: Permission denied; the worktree is made all the same" in said


@pytest.mark.skipif(sys.platform != "linux", reason="an ioctl of Linux")
@pytest.mark.parametrize("clones", [True, False])
def test_blocks_are_shared_where_they_can_be(
    run: Run, project: Path, clones: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    asked: list[int] = []

    def ioctl(target: int, request: int, source: int) -> int:
        asked.append(request)
        if not clones:
            raise OSError(95, "Operation not supported")
        os.write(target, os.read(source, 1 << 20))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    listed(project, "cache/")
    folder, _ = made(run)
    assert asked == [0x40049409] * (2 if clones else 1)
    assert (folder / "cache" / "z.bin").read_text() == "cache/z.bin\n"


def test_progress_counts(project: Path) -> None:
    listed(project, "cache/")
    (project.parent / "to").mkdir()
    told: list[tuple[int, int]] = []
    with Repository() as repository:
        copied = include.copy(repository, project, project.parent / "to", lambda done, of: told.append((done, of)))
    assert told == [(0, 2), (1, 2)]
    assert copied == (2, 26, [])


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_progress_on_a_terminal_alone(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    from wtname.commands import furnish

    listed(project, "cache/")
    monkeypatch.setattr(furnish, "_QUIET", 0)
    leader, follower = pty.openpty()
    code = "from wtname.commands import furnish; furnish._QUIET = 0; from wtname.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "new", "--name", "x"], cwd=project, stderr=follower, stdout=-1)
    os.close(follower)
    said = os.read(leader, 10_000).decode()
    os.close(leader)
    assert done.returncode == 0
    assert "\rcopying 0 of 2 files" in said and "copied 2 files (26 bytes)" in said
    assert "copying" not in made(run)[1]
