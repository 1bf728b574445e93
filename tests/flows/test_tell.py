import email
import email.policy
import logging
import time
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect.blocks.webhook import Webhook
from receivers import mail_server, silent, webhook
from servers import free_port

from flows import tell
from roadseg.contracts.errors import UsageError


@pytest.fixture(autouse=True)
def none_saved(prefect_api: str) -> None:
    for kind, name in ((Webhook, tell.WEBHOOK), (Secret, tell.MAIL)):
        if tell._saved(kind, name):
            kind.delete(name)


def held() -> None:
    tell.tell("held", "version 7", reason="too few <!channel> drives & more", score="0.61", link="http://x/runs/1")


def test_webhook_and_mail_hear_what_happened_why_the_score_and_the_link(caplog: pytest.LogCaptureFixture) -> None:
    with webhook() as (hook, posted), mail_server() as (address, mails), caplog.at_level(logging.INFO):
        tell.save(hook, address)
        held()
        assert posted == [
            {
                "text": "*roadseg held: version 7*\ntoo few &lt;!channel&gt; drives &amp; more\nscore: 0.61\n"
                "http://x/runs/1"
            }
        ]
        [message] = [email.message_from_string(each, policy=email.policy.default) for each in mails]
        assert message["Subject"] == "roadseg held: version 7"
        body = message.get_body(("plain",))
        assert body is not None
        for part in ("too few <!channel> drives & more", "score: 0.61", "http://x/runs/1"):
            assert part in body.get_content()
    assert "s3cr3t" not in caplog.text
    assert "not told" not in caplog.text


def test_where_nobody_is_saved_nothing_is_sent_and_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    held()
    assert caplog.text == ""


def test_a_dead_receiver_is_a_line_in_the_log_without_its_address_and_the_other_still_hears(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with mail_server() as (address, mails):
        for hook in (f"http://127.0.0.1:{free_port()}/s3cr3t", "http://s3cr3t.invalid/"):
            tell.save(hook, address)
            held()
            assert "roadseg-webhook is not told: ConnectError" in caplog.text
        assert len(mails) == 2
    caplog.clear()
    with webhook(404) as (hook, _):
        tell.save(hook, "mailto://127.0.0.1:9?from=a@a.org&to=b@a.org&mode=insecure&pass=s3cr3t&user=u")
        held()
    assert "roadseg-webhook is not told: the webhook answers 404" in caplog.text
    assert "roadseg-mail is not told: the mail server did not take it" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_receivers_that_never_answer_delay_a_run_by_some_seconds_together(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tell, "SOCKET", 30.0)
    monkeypatch.setattr(tell, "PATIENCE", 3.0)
    with silent() as port:
        tell.save(f"http://127.0.0.1:{port}/", f"mailto://127.0.0.1:{port}?from=a@a.org&to=b@a.org&mode=insecure")
        started = time.monotonic()
        held()
        assert time.monotonic() - started < 5
    assert caplog.text.count("no answer within 3 s") == 2


def test_without_a_server_nothing_is_raised(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("s3cr3t")

    monkeypatch.setattr(Webhook, "load", broken)
    monkeypatch.setattr(Secret, "load", broken)
    held()
    monkeypatch.setattr(tell, "deliver", broken)
    held()
    assert [line.split(": ", 1)[1] for line in caplog.messages] == ["RuntimeError"] * 3
    assert "s3cr3t" not in caplog.text


def test_an_address_that_is_none_is_refused_without_repeating_it() -> None:
    for words, option in ((("ftp://s3cr3t", ""), "--webhook"), (("", "s3cr3t"), "--mail")):
        with pytest.raises(UsageError, match=option) as refused:
            tell.save(*words)
        assert "s3cr3t" not in str(refused.value)
    with pytest.raises(UsageError, match="--test"):
        tell.command()


def test_a_reason_without_end_is_cut() -> None:
    body = tell.message("x" * 9999, "", "http://x")
    assert len(body) < 1600
    assert body.endswith(" ...\nhttp://x")
