"""Whether a revision keeps what it declares: one that older servers may go on beside only adds."""

import ast
import re
from collections.abc import Iterator

LOSES = {"drop_table", "drop_column", "drop_constraint", "rename_table", "alter_column", "batch_alter_table"}
RULES = {"create_check_constraint", "create_unique_constraint", "create_foreign_key", "create_exclude_constraint"}
"""What an older server's rows might break."""
ADDS = re.compile("CREATE (UNLOGGED )?(TABLE|INDEX) ")


def breaks(source: str) -> Iterator[str]:
    """Say line by line what an older server could not live with, in a revision that does not declare it a break."""
    tree = ast.parse(source)
    declared = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for name in ("compatible", "tables", "waits"):
        if name not in declared:
            yield f"does not declare {name}"
    compatible = declared.get("compatible")
    if not isinstance(compatible, ast.Constant) or compatible.value is not True:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _breaks_in(node, node.func.attr)


def _breaks_in(call: ast.Call, name: str) -> Iterator[str]:
    where = f"line {call.lineno}"
    if name in LOSES:
        yield f"{where}: {name} takes away what older servers use"
    elif name in RULES:
        yield f"{where}: {name} is a rule that older servers do not know"
    elif name == "create_index" and _constant(call, "unique") is True:
        yield f"{where}: a unique index is a rule that older servers do not know"
    elif name == "execute" and not (isinstance(said := call.args[0], ast.Constant) and ADDS.match(str(said.value))):
        yield f"{where}: execute may do anything; say compatible = False, or add through op"
    elif name == "add_column":
        columns = [argument for argument in ast.walk(call) if isinstance(argument, ast.Call) and argument is not call]
        column = next(each for each in columns if ast.unparse(each.func).endswith("Column"))
        if _constant(column, "nullable") is False and not any(each.arg == "server_default" for each in column.keywords):
            yield f"{where}: older servers leave the new column empty: nullable, or a server_default"


def _constant(call: ast.Call, argument: str) -> object:
    value = next((each.value for each in call.keywords if each.arg == argument), None)
    return value.value if isinstance(value, ast.Constant) else None
