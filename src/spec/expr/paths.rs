//! Dotted paths in expressions: `args.filter.kind`.

use minijinja::machinery::ast::{CallArg, Expr};
use minijinja::machinery::parse_expr;

/// The dotted paths a bare expression mentions, such as `args.kind`; none if it does not parse.
///
/// After `require:` and inside `when:` they are known to be there.
pub fn paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    if let Ok(expr) = parse_expr(text) {
        mentioned(&expr, &mut paths);
    }
    paths
}

/// The dotted path of an access such as `args.filter.kind`.
pub(super) fn path(expr: &Expr<'_>) -> Option<String> {
    match expr {
        Expr::Var(var) => Some(var.id.to_owned()),
        Expr::GetAttr(node) => Some(format!("{}.{}", path(&node.expr)?, node.name)),
        Expr::GetItem(node) => match &node.subscript_expr {
            Expr::Const(c) => Some(format!("{}.{}", path(&node.expr)?, c.value)),
            _ => None,
        },
        _ => None,
    }
}

/// All dotted paths in an expression.
pub(super) fn mentioned(expr: &Expr<'_>, into: &mut Vec<String>) {
    // A path counts as a whole: `args.kind` does not mention `args`.
    if let Some(path) = path(expr) {
        into.push(path);
        return;
    }
    let mut visit = |inner: &Expr<'_>| mentioned(inner, into);
    match expr {
        Expr::Var(_) | Expr::Const(_) => {}
        Expr::GetAttr(node) => visit(&node.expr),
        Expr::GetItem(node) => {
            visit(&node.expr);
            visit(&node.subscript_expr);
        }
        Expr::Slice(node) => {
            visit(&node.expr);
            let bounds = [&node.start, &node.stop, &node.step];
            bounds.into_iter().flatten().for_each(visit);
        }
        Expr::UnaryOp(node) => visit(&node.expr),
        Expr::BinOp(node) => {
            visit(&node.left);
            visit(&node.right);
        }
        Expr::Compare(node) => {
            visit(&node.expr);
            node.ops.iter().for_each(|op| visit(&op.expr));
        }
        Expr::IfExpr(node) => {
            visit(&node.test_expr);
            visit(&node.true_expr);
            node.false_expr.iter().for_each(visit);
        }
        Expr::Filter(node) => {
            node.expr.iter().for_each(&mut visit);
            arguments(&node.args).for_each(visit);
        }
        Expr::Test(node) => {
            visit(&node.expr);
            arguments(&node.args).for_each(visit);
        }
        // What is called is a function of the language, not a value.
        Expr::Call(node) => arguments(&node.args).for_each(visit),
        Expr::List(node) => node.items.iter().for_each(visit),
        Expr::Tuple(node) => node.items.iter().for_each(visit),
        Expr::Map(node) => node.keys.iter().chain(&node.values).for_each(visit),
    }
}

/// The values of a call's arguments.
pub(super) fn arguments<'s, 'a>(args: &'s [CallArg<'a>]) -> impl Iterator<Item = &'s Expr<'a>> {
    args.iter().map(|arg| match arg {
        CallArg::Pos(e) | CallArg::Kwarg(_, e) | CallArg::PosSplat(e) | CallArg::KwargSplat(e) => e,
    })
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn every_path_is_found_once_and_whole() {
        for (text, expected) in [
            (
                "args.kind == item.data.kind",
                vec!["args.kind", "item.data.kind"],
            ),
            (
                "item.n in range(args.from, args.to)",
                vec!["item.n", "args.from", "args.to"],
            ),
            (
                "item.l[args.i:args.j] | join(args.sep)",
                vec!["item.l", "args.i", "args.j", "args.sep"],
            ),
            (
                "{'a': args.a}[args.k] is eq(args.b)",
                vec!["args.a", "args.k", "args.b"],
            ),
            ("args['kind'] and not found", vec!["args.kind", "found"]),
        ] {
            assert_eq!(paths(text), expected, "{text}");
        }
    }
}
