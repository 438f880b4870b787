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
    if let Some(path) = path(expr) {
        into.push(path);
    }
    match expr {
        // A path counts as a whole: `args.kind` does not mention `args`.
        Expr::GetAttr(node) if path(expr).is_none() => mentioned(&node.expr, into),
        Expr::UnaryOp(node) => mentioned(&node.expr, into),
        Expr::BinOp(node) => {
            mentioned(&node.left, into);
            mentioned(&node.right, into);
        }
        Expr::Compare(node) => {
            mentioned(&node.expr, into);
            node.ops.iter().for_each(|op| mentioned(&op.expr, into));
        }
        Expr::Test(node) => mentioned(&node.expr, into),
        Expr::Filter(node) => {
            node.expr.iter().for_each(|e| mentioned(e, into));
            for arg in &node.args {
                if let CallArg::Pos(e) | CallArg::Kwarg(_, e) = arg {
                    mentioned(e, into);
                }
            }
        }
        Expr::IfExpr(node) => {
            mentioned(&node.test_expr, into);
            mentioned(&node.true_expr, into);
            node.false_expr.iter().for_each(|e| mentioned(e, into));
        }
        Expr::List(node) => node.items.iter().for_each(|e| mentioned(e, into)),
        _ => {}
    }
}
