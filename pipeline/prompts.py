"""Templates of prompts: load, fingerprint, and render them around text that cannot break out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.domain import Stage
from pipeline.errors import DeclarationError
from pipeline.neutralising import marks, neutralise

# Stands for the document while the text around it is rendered; no template holds it.
_PLACE = "\0document\0"
# Renderings that are kept: documents that fit whole need one, chunks one for each position.
_KEPT_AROUND = 64
# What may do more with a document inside it, or with the block that wrote it, than write it.
_TRANSFORMING: tuple[type[nodes.Node], ...] = (
    nodes.FilterBlock,
    nodes.AssignBlock,
    nodes.CallBlock,
    nodes.Macro,
    nodes.Import,
    nodes.FromImport,
    nodes.EvalContextModifier,
)
_RENDERING = ("self", "super", "loop")
CORRECTION = "_shared/correction.jinja"
FUSED = "_shared/fused.jinja"
# The blocks of an analysis' template that a fused prompt takes, and what each is put around.
_BLOCK_HOLDS = {
    "instructions": "all rules and examples of the system turn, without what says which text comes",
    "question": "what is asked behind the document",
}
# Texts that become a control token or a tag when a template takes out what `neutralise` put in, or writes the first
# signs of one beside them.
_PROBES = (
    *("<|eot_id|>", "|eot_id|>", "eot_id|>", "|>", "<", "<|", "<|eot_id", "<|eot_id|"),
    *("</document>", "/document>", "document>", "<PART>", "part>", "</"),
    *("|eot_id|><", "/part><"),  # where two texts stand side by side
)
# What an expression in a template raises when it meets a value of another kind than it was written for.
_EXPRESSION_ERRORS = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One template of an analysis. `begun` is the start of the answer that the rendered prompt ends with.

    `around` gives, for all values but the document, the text before it, after it, and between two of it; it is None
    where the template does more with the document than write it.
    """

    stage: Stage
    template: jinja2.Template
    constants: Mapping[str, Any]
    begun: str
    around: Callable[..., list[str]] | None = None

    def document_in(self, prompt: str, **values: Any) -> str:
        """The document that `render` put into a prompt, with the same other values. Raises DeclarationError."""
        around = self.around(**values) if self.around else []
        if len(around) == 2 and prompt.startswith(around[0]) and prompt.endswith(around[1]):
            return prompt[len(around[0]) : len(prompt) - len(around[1])]
        raise DeclarationError(
            f"{self.template.name}: the prompt that was sent is not what it renders now; put it back as it was when "
            "the run began"
        )

    def render(self, **values: Any) -> str:
        """The prompt. Texts among `values` must have gone through `neutralise`; a missing name is an error."""
        if self.around is None or "document" not in values:
            return self.template.render(self.constants, **values)
        document: str = values.pop("document")
        return document.join(self.around(**values))


def open_templates(root: Path) -> jinja2.Environment:
    """The sandbox in which the templates below `root` run: no attribute tricks, no missing names."""
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(root),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        auto_reload=False,
    )


def load_prompt(
    environment: jinja2.Environment, name: str, stage: Stage, constants: Mapping[str, Any], sample: Mapping[str, Any]
) -> Prompt:
    """The template `name`, rendered once with `sample` so that a mistake shows before anything is sent.

    Raises DeclarationError naming the file, the line and the mistake.
    """
    with _explained(name, [*constants, *sample]):
        template = environment.get_template(name)
        if "answer" not in template.blocks:
            raise DeclarationError(f"{name}: has no block `answer`; it holds the start of the model's answer")
        rendered = template.render(constants, **sample)
        begun = "".join(template.blocks["answer"](template.new_context({**constants, **sample})))
    if begun.strip() and not begun.lstrip().startswith("{"):
        raise DeclarationError(f"{name}: the block `answer` must begin a JSON object, so with `{{`, or be empty")
    if not rendered.endswith(begun):
        raise DeclarationError(f"{name}: the block `answer` must be the last thing in the prompt")
    around = partial(_around, template, constants) if _only_writes_document(environment, name) else None
    return Prompt(stage, template, constants, begun, around and lru_cache(_KEPT_AROUND)(around))


def refuse_undoing(prompt: Prompt, values: Callable[[str], Mapping[str, Any]]) -> None:
    """Raise DeclarationError for a template that makes a control token or a tag of a text that was safe.

    `values` gives what the prompt is rendered with when a text, in the place of all texts from outside, says this.
    """
    name = prompt.template.name or "a template"
    with _explained(name, [*prompt.constants, *values("")]):
        harmless, *probed = (marks(prompt.render(**values(neutralise(text)))) for text in ("x", *_PROBES))
    for probe, found in zip(_PROBES, probed, strict=True):
        if found != harmless:
            raise DeclarationError(
                f"{name}: what it does with a text makes a control token or a tag of {probe!r}, so "
                "that a document could end its turn; write texts as they are, each apart from what stands beside it"
            )


def refuse_tokens(path: Path, texts: Iterable[str]) -> None:
    """Raise DeclarationError for a declaration whose own words would be taken for the signs of a prompt."""
    for text in texts:
        if marks(text):
            raise DeclarationError(
                f"{path}: the answer, a label or the output language holds what reads as a control token, or as the "
                "tag of a document or part; take it out"
            )


def load_correction(root: Path, shipped: Path) -> jinja2.Template:
    """The template that asks for a better answer: that of the prompts below `root`, or the one that is `shipped`.

    It is no part of any fingerprint: only answers that failed are asked by it, so a change of it changes no question.
    Raises DeclarationError.
    """
    environment = open_templates(root if (root / CORRECTION).is_file() else shipped)
    sample = {"prompt": "a prompt", "answer": "an answer", "problem": "what is wrong", "begun": '{"x": "'}
    with _explained(CORRECTION, sample):
        template = environment.get_template(CORRECTION)
        rendered = template.render(sample)
    if not rendered.startswith(sample["prompt"]) or not rendered.endswith(sample["begun"]):
        raise DeclarationError(f"{CORRECTION}: must begin with {{{{ prompt }}}} and end with {{{{ begun }}}}")
    return template


@contextmanager
def _explained(name: str, allowed: Iterable[str]) -> Iterator[None]:
    """Whatever is wrong with a template, as a DeclarationError that names it and what it may use."""
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        where = f"{error.filename or name}, line {error.lineno}"
        raise DeclarationError(
            f"{where}: {error.message} Mend the template there (a Jinja tag or expression is not well formed); "
            "`docbatch plan` then shows whether it can be read, and sends nothing."
        ) from None
    except jinja2.TemplateNotFound as error:
        missing = "there is no such file" if error.name == name else f"includes {error.name!r}, which is not there"
        raise DeclarationError(f"{name}: {missing}") from None
    except (jinja2.TemplateError, *_EXPRESSION_ERRORS) as error:
        raise DeclarationError(f"{name}: {error}; a template may use {', '.join(sorted(allowed))}") from None


def _around(template: jinja2.Template, constants: Mapping[str, Any], **values: Any) -> list[str]:
    return template.render(constants, document=_PLACE, **values).split(_PLACE)


def _only_writes_document(environment: jinja2.Environment, name: str) -> bool:
    """Whether the template, with its includes, does nothing with the document but write it as it is: no condition, no
    filter, no block that is rendered to be changed."""
    trees = [environment.parse(_source(environment, one)) for one in _with_includes(environment, [name])]
    names = [found for tree in trees for found in tree.find_all(nodes.Name)]
    written = [child for tree in trees for output in tree.find_all(nodes.Output) for child in output.nodes]
    documents = [found for found in names if found.name == "document"]
    return (
        all(any(found is child for child in written) for found in documents)
        and not any(found.name in _RENDERING for found in names)
        and not any(tree.find(kind) for tree in trees for kind in _TRANSFORMING)
    )


def render_block(prompt: Prompt, block: str) -> str:
    """One block of a template on its own, without blank lines around it.

    Raises DeclarationError when the template has no such block, or one that needs more than the constants.
    """
    template, name = prompt.template, prompt.template.name or "a template"
    if block not in template.blocks:
        raise DeclarationError(
            f"{name}: has no block `{block}`, so it cannot be fused; put {{% block {block} %}} and {{% endblock %}} "
            f"around {_BLOCK_HOLDS[block]}, or leave fuse off"
        )
    with _explained(f"{name}, block `{block}`", prompt.constants):
        return "".join(template.blocks[block](template.new_context(dict(prompt.constants)))).strip()


def open_fused(root: Path, shipped: Path) -> jinja2.Environment:
    """Where the template of fused prompts is: below `root`, or as it is `shipped`."""
    return open_templates(root if (root / FUSED).is_file() else shipped)


def load_fused(environment: jinja2.Environment, constants: Mapping[str, Any]) -> Prompt:
    """The fused prompt of some analyses. Raises DeclarationError, also when it does more with the document than write
    it once: a part that is asked alone later needs the document back."""
    prompt = load_prompt(environment, FUSED, Stage.MAP, constants, {"document": "", "position": 1, "siblings": 2})
    if prompt.around is None or len(prompt.around(position=1, siblings=2)) != 2:
        raise DeclarationError(f"{FUSED}: must write {{{{ document }}}} once, and do nothing else with it")
    refuse_undoing(prompt, lambda text: {"document": text, "position": 1, "siblings": 2})
    return prompt


def fingerprint(environment: jinja2.Environment, declaration: Path | None, names: list[str]) -> str:
    """sha256 (hexadecimal) over the declaration and the templates with everything that they include or extend."""
    digest = hashlib.sha256(declaration.read_bytes() if declaration else b"")
    for name in sorted(_with_includes(environment, names)):
        source = _source(environment, name)
        digest.update(f"\0{name}\0{len(source)}\0{source}".encode())
    return digest.hexdigest()


def _with_includes(environment: jinja2.Environment, names: list[str]) -> set[str]:
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found.add(name)
        for reference in meta.find_referenced_templates(environment.parse(_source(environment, name))):
            if reference is None:
                raise DeclarationError(f"{name}: the name of an included template must be written out, not computed")
            pending.append(reference)
    return found


def _source(environment: jinja2.Environment, name: str) -> str:
    if environment.loader is None:  # pragma: no cover - open_templates always sets one
        raise DeclarationError(f"{name}: there is no folder to load templates from")
    try:
        return environment.loader.get_source(environment, name)[0]
    except jinja2.TemplateNotFound:
        raise DeclarationError(f"{name}: there is no such template") from None
