"""What is said in other scripts, in English words: longest forms, stems, what stays; names by the packaged model."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from conftest import Run

from wtname import glossary, naming
from wtname.words import plain

FORMS = glossary.forms(
    "login: 登录 ログイン 로그인 вход$ логин\n"
    "login page: 登录页\n"
    "page: 页面 页\n"
    "crash: 崩溃 崩 クラッシュ\n"
    "dark mode: ダークモード 다크_모드\n"
    "fix: 修复 исправ\n"
    "entrance: вход\n"
    "-: 的 の を 를 в$\n"
)


@pytest.mark.parametrize(
    ("text", "english", "words"),
    [
        ("修复登录页的崩溃", "fix login page crash", 4),  # the longest form counts: 登录页, not 登录
        ("修复登录页面崩溃", "fix login page 面 crash", 4),
        ("ログインのクラッシュ", "login crash", 2),
        ("ﾛｸﾞｲﾝ", "login", 1),  # half width
        ("다크 모드를", "dark mode", 2),
        ("Исправить вход в меню", "fix login меню", 2),  # a stem takes its word along; `$` is all of a word
        ("входной", "entrance", 1),
        ("невход", "невход", 0),  # a stem begins a word
        ("修复 login 的 OAuth2", "fix login OAuth2", 1),
        ("plain words, in English", "plain words, in English", 0),
        ("", "", 0),
    ],
)
def test_known_forms_become_english(text: str, english: str, words: int) -> None:
    told, count = glossary.translate(unicodedata.normalize("NFKC", text), FORMS)
    assert (" ".join(told.split()), count) == (english, words)


@pytest.mark.parametrize("line", ["login", "login:", "login: ", ": 登录", "вход: 登录"])
def test_a_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        glossary.forms(f"fix: 修复\n{line}")


@pytest.mark.parametrize(
    "text",
    [
        "Fix the login redirect", "Fix the naïve Größe check", "Réparer la page d'accueil", "emoji 🎉 and → arrows", "",
        "latency of 5 μs under Δt", "İstanbul",
    ],
)  # fmt: skip
def test_what_is_in_latin_letters_stays(text: str) -> None:
    assert glossary.english(text) == (text, False)


@pytest.mark.parametrize("text", ["إصلاح خطأ تسجيل الدخول", "διόρθωση σφάλματος σύνδεσης", "แก้ไขข้อผิดพลาด", "葡萄藤蔓"])
def test_what_nobody_reads_here_is_foreign(text: str) -> None:
    assert glossary.english(text) == (text, True)
    assert naming.clean(text).foreign and not naming.clean(f"Fix the label {text[:4]} on the login page").foreign


def test_the_packaged_glossary() -> None:
    lines = Path(glossary.__file__).with_name("glossary.txt").read_text("utf-8").splitlines()
    found = glossary.forms("\n".join(lines))
    told = Counter(form for own in found.values() for form, _ in own)
    assert len(lines) > 500 and not [form for form, often in told.items() if often > 1]
    assert not [form for form in told if form.isascii()]
    for english in {english for own in found.values() for _, english in own} - {glossary.NOTHING}:
        assert naming.normalise(english) == english, english


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("修复登录页面崩溃的问题", {"fix", "login", "crash"}),
        ("加一个深色模式开关", {"feat", "dark", "mode"}),
        ("修復登入頁面崩潰的問題", {"fix", "login", "crash"}),
        ("ログイン画面のバグを修正してください", {"fix", "login"}),
        ("다크 모드 토글 추가", {"feat", "dark", "mode"}),
        ("로그인 오류 수정", {"fix", "login"}),
        ("Исправить ошибку при загрузке больших файлов", {"fix", "upload"}),
        ("Обновить webpack до версии 5", {"chore", "webpack", "5"}),
    ],
)
def test_names_in_english(run: Run, task: str, words: set[str]) -> None:
    named = json.loads(run("suggest", "--json", task).stdout)
    assert named["source"] == "model" and words <= set(named["name"].split("-")), named


@pytest.mark.parametrize("task", ["إصلاح خطأ تسجيل الدخول", "διόρθωση σφάλματος σύνδεσης", "葡萄藤蔓螃蟹"])
def test_of_what_nobody_reads_nothing_is_invented(run: Run, task: str) -> None:
    done = run("suggest", "--json", task)
    named = json.loads(done.stdout)
    assert named["source"] == "extract" and "does not read this script" in done.stderr
    assert set(named["name"].split("-")[1:]) <= {plain(word) for word in naming.normalise(task).split()}
