"""What a report says where there is nothing to say."""

from __future__ import annotations

from lg_orch.analyst.report.markdown import MarkdownReport


def test_a_section_without_a_statement_says_that_nothing_was_found() -> None:
    report = MarkdownReport("Summary")
    report.section("Empty")
    report.section("Full")
    report.say("a fact")
    report.section("Last")
    text = report.answer().text_markdown
    assert "## Empty\n\nNothing found.\n" in text
    assert "- a fact\n\n## Last\n\nNothing found.\n" in text
