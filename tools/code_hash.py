"""The hash that ties a record to the code of its experiment.

What counts is the code that the experiment runs: the statements of the page that its function needs, found by following names. Not
counted are comments, white space, line breaks, trailing commas, quotes, parentheses that change nothing, and docstrings and other lone
constants, because none of them does anything when it runs; nor ``sentinel=`` and other cases in the decorator.

The syntax tree is written out by this module, not by `ast.dump` or `ast.unparse`, whose output differs from one Python to the next. Fields
that are empty are left out: newer versions of Python add fields, and they are empty in older code.
"""

import ast
import hashlib
import json

from kdcourse.checks import refuse

LEFT_OUT = ("ctx", "kind", "type_comment", "type_ignores")


def sha256(source: str, function: str, case: str | None = None) -> str:
    """Return the hash of what `function` runs.

    Args:
        source: all cells that are executed, in one text.
        function: the experiment's function, a name that `source` binds.
        case: the one case of the decorator's ``cases=`` that counts; None counts all of them.
    """
    statements = [_only_this(statement, case) for statement in needed(ast.parse(source).body, function)]
    return hashlib.sha256(json.dumps([_written(statement) for statement in statements]).encode()).hexdigest()


def needed(statements: list[ast.stmt], name: str) -> list[ast.stmt]:
    """Return the statements that `name` depends on, in their order; of an import only the names that are used.

    A statement that binds a name, as a definition, an assignment or an import does, is needed when that name is used in a statement that
    is needed; every other statement, such as a call or a loop, may change anything and is always needed.
    """
    statements = [part for statement in statements if not _does_nothing(statement) for part in _apart(statement)]
    names, found = {name}, set()
    while True:
        more = {i for i, s in enumerate(statements) if i not in found and ((bound := _bound(s)) is None or bound & names)}
        if not more:
            return [statements[i] for i in sorted(found)]
        found |= more
        names |= {node.id for i in more for node in ast.walk(statements[i]) if isinstance(node, ast.Name)}


def is_experiment(decorator: ast.expr) -> bool:
    """Say whether a decorator is ``@evidence.experiment(...)``."""
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) in ("evidence.experiment", "experiment")


def marked(source: str, where: str = "the cell") -> dict[str, tuple[str, bool]]:
    """Return the records that functions decorated with ``@evidence.experiment(...)`` make, their own or those of their cases.

    Returns:
        {name of the record: (name of the function, whether it is the sentinel)}.

    Raises:
        ValueError: cases that are not written out, or a name twice.
    """
    found = {}
    for function in (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)):
        for decorator in filter(is_experiment, function.decorator_list):
            given = {keyword.arg: keyword.value for keyword in decorator.keywords}
            names = [function.name]
            if "cases" in given:
                keys = given["cases"].keys if isinstance(given["cases"], ast.Dict) else [None]
                if not all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in keys):
                    refuse(f"cases of {function.name} in {where}", "a dict written out, its keys strings", ast.unparse(given["cases"]))
                names = [key.value for key in keys]
            chosen = getattr(given.get("sentinel"), "value", None)
            for name in names:
                if name in found:
                    raise ValueError(f"an experiment's name must be used once, got {name} twice in {where}")
                found[name] = (function.name, chosen is True or chosen == name)
    return found


def unshown(source: str) -> str:
    """Return an experiment's cell with its lone expressions left blank: they show the record, which does not exist before it ran."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Expr):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines)


def _does_nothing(node) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _apart(statement: ast.stmt) -> list[ast.stmt]:
    """Split an import of several names into one for each, so that a name more or less in its line is no change for the others."""
    if isinstance(statement, ast.Import):
        return [ast.Import([alias]) for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        return [ast.ImportFrom(statement.module, [alias], statement.level) for alias in statement.names]
    return [statement]


def _bound(statement: ast.stmt) -> set[str] | None:
    """Return the names that a statement may bind or change; None stands for a statement that may change anything."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        (alias,) = statement.names
        return None if alias.name == "*" else {alias.asname or alias.name.partition(".")[0]}
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        walrus = [node.target for node in ast.walk(statement) if isinstance(node, ast.NamedExpr)]
        return {node.id for target in [*targets, *walrus] for node in ast.walk(target) if isinstance(node, ast.Name)}
    return None


def _only_this(statement: ast.stmt, case: str | None) -> ast.stmt:
    """Leave out of an experiment's decorator what says nothing about its numbers: ``sentinel=``, and the cases that are not `case`."""
    for decorator in filter(is_experiment, getattr(statement, "decorator_list", [])):
        decorator.keywords = [keyword for keyword in decorator.keywords if keyword.arg != "sentinel"]
        for keyword in decorator.keywords:
            if keyword.arg == "cases" and case is not None:
                entries = zip(keyword.value.keys, keyword.value.values, strict=True)
                keyword.value = ast.Tuple([part for key, value in entries if key.value == case for part in (key, value)])
    return statement


def _written(node):
    """Return a part of the syntax tree as lists, texts and numbers, the same in Python 3.11 to 3.13."""
    if isinstance(node, list):
        return [_written(part) for part in node if not _does_nothing(part)]
    if isinstance(node, ast.Constant):
        return ["Constant", type(node.value).__name__, ascii(node.value)]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if name not in LEFT_OUT and value is not None and value != []}
    if isinstance(node, ast.JoinedStr):
        fields["values"] = _joined(node.values)
    return [type(node).__name__, {name: _written(value) for name, value in fields.items()}]


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """Return the parts of an f-string with neighbouring texts in one; Python versions differ in where they cut them."""
    joined = []
    for value in values:
        if isinstance(value, ast.Constant) and joined and isinstance(joined[-1], ast.Constant):
            joined[-1] = ast.Constant(joined[-1].value + value.value)
        else:
            joined.append(value)
    return [value for value in joined if not (isinstance(value, ast.Constant) and value.value == "")]
