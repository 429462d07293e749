import jinja2
import pytest

from pilotage.spec import prompt

MESSAGES = [{"role": "user", "content": "hi"}]


def render(text: str) -> str:
    assert prompt.faults(text) == []
    return prompt.environment().from_string(text).render(use_case="desk", question="hi", messages=MESSAGES)


def test_a_prompt_sees_its_three_variables() -> None:
    text = "{{ use_case }}: {{ question | upper }} {% for m in messages %}{{ loop.index }}{{ m.role }}{% endfor %}"
    assert render(text) == "desk: HI 1user"


def test_filters_work_as_jinja_documents_them() -> None:
    assert render(
        "{{ messages | map(attribute='role') | join('+') }} {{ [3, 1] | sort | tojson }} {{ 7 * 3 % 4 }}"
    ) == ("user [1, 3] 1")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a\n{{ nope }}", (2, "'nope' is not known in a prompt; it sees use_case, question, messages")),
        ("{{ question | uper }}", (1, "there is no filter 'uper'; did you mean 'upper'?")),
        ("{% if question is strng %}{% endif %}", (1, "there is no test 'strng'; did you mean 'string'?")),
        ("\n\n{% import 'x' as y %}", (3, "a prompt is one file: include, import and extends are not available")),
        ("{{ lipsum() }}", (1, "'lipsum' is not known in a prompt; it sees use_case, question, messages")),
    ],
)
def test_faults(text: str, fault: tuple[int, str]) -> None:
    assert prompt.faults(text) == [fault]


@pytest.mark.parametrize("text", ["{{", "{% if %}", "{% for x in y %}", "\n{{ (1 }}", "{% nope %}", "{{ 'x }}"])
def test_what_is_no_template(text: str) -> None:
    assert any("is not a Jinja2 template" in says for _, says in prompt.faults(text))


@pytest.mark.parametrize(
    "text", ["{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}", "{{ " + "9" * 6_000 + " }}", "x" * (2 << 20)]
)
def test_a_prompt_that_would_break_the_compiler(text: str) -> None:
    assert len(prompt.faults(text)) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{{ 10 ** 10 ** 10 }}", "** is not available in prompts"),
        ("{{ 'a' * 10000000000 }}", "only numbers can be multiplied in prompts"),
        ("{{ '%10000000000d' % 1 }}", "text cannot be formatted with % in prompts"),
        ("{{ 'a' | wordwrap(-1) }}", "ValueError"),
        ("{{ [1] | tojson(indent=100000000000) }}", "MemoryError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ question.nope.deeper }}", "'str object' has no attribute 'nope'; use_case and question are texts"),
        ("{{ messages[0].nope }}", "'dict object' has no attribute 'nope'; use_case and question are texts"),
        ("{{ messages[1].role }}", "has no element 1; use_case and question are texts"),
        ("{{ question.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe"),
        ("{{ ''.join.__globals__ }}", "has no attribute '__globals__'"),
    ],
)
def test_what_does_not_render_is_a_fault_of_its_line(text: str, fault: str) -> None:
    ((line, says),) = prompt.faults(f"You help.\n{text}")
    assert line == 2
    assert says.startswith("does not render for a plain question: ")
    assert fault in says
    with pytest.raises((*prompt.RENDERING, MemoryError)):
        prompt.environment().from_string(text).render(use_case="desk", question="hi", messages=MESSAGES)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\n{% for i in range(1001) %}{% endfor %}", "at most 1,000 numbers"),
        ("\n{% for i in range(9, 99999999999999999999999) %}{% endfor %}", "this range cannot be used"),
        ("\n{{ range(0, 9, 0) | list }}", "this range cannot be used"),
        ("\n{% for i in range(9) %}{% for j in range(i) | list %}{% endfor %}{% endfor %}", "within a loop over range"),
        ("\n{% for i in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}", "recursive loops are not available"),
    ],
)
def test_loops_that_would_keep_a_process_busy(text: str, fault: str) -> None:
    ((line, says),) = prompt.faults(text)
    assert line == 2
    assert fault in says


@pytest.mark.parametrize(
    "text",
    [
        "{% set n = 99999 %}{% for i in range(n) %}{% endfor %}",
        "{% set r = range(1000) %}{% for i in r %}{% for j in r %}{% for k in r %}{% endfor %}{% endfor %}{% endfor %}",
        "{% macro twice(n) %}{% if n %}{{ twice(n - 1) }}{{ twice(n - 1) }}{% endif %}{% endmacro %}{{ twice(40) }}",
        "{% set r = range(1000) %}{% for i in r if r | list %}{% for j in r %}{{ loop.length }}{% endfor %}{% endfor %}",
    ],
)
def test_what_only_rendering_shows_ends_there(text: str) -> None:
    with pytest.raises(jinja2.exceptions.SecurityError):
        prompt.environment().from_string(text).render(use_case="desk", question="hi", messages=MESSAGES)
    ((_, says),) = prompt.faults(text)
    assert "does not render" in says


def test_every_rendering_counts_for_itself() -> None:
    template = prompt.environment().from_string(
        "{% for i in range(1000) %}{% for c in 'abcdefghij' %}{% endfor %}{% endfor %}"
    )
    for _ in range(20):
        assert template.render(use_case="desk", question="hi", messages=MESSAGES) == ""


def test_loops_know_where_they_are() -> None:
    text = "{% for i in range(3) if i %}{{ loop.index }}/{{ loop.length }}{{ ' last' if loop.last }}{{ i }} {% else %}none{% endfor %}"
    assert render(text) == "1/21 2/2 last2 "
