//! The walk over the syntax tree.

use std::ops::Range;

use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, BinOpKind, CallArg, Expr};
use minijinja::value::ValueKind;

use super::paths::{arguments, mentioned, path};
use super::{Form, Problem};
use crate::spec::diag::Code;
use crate::spec::shape::{Lookup, Scope, Shape};
use crate::spec::vocabulary::{CONSTANTS, DOCUMENT, FILTERS, FUNCTIONS, TESTS};
use crate::spec::{pattern, suggest};

pub(super) struct Walker<'a> {
    pub(super) text: &'a str,
    pub(super) scope: Scope,
    /// Above zero where an absent value does no harm (conditions, `default`, `is defined`).
    pub(super) lenient: usize,
    /// Whether the whole text is a condition of a step or a filter.
    pub(super) is_condition: bool,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Walker<'a> {
    pub(super) fn syntax(&mut self, error: &minijinja::Error, form: Form) -> Shape {
        let range = error.range().unwrap_or(0..self.text.len());
        let detail = error.detail().unwrap_or("it does not parse");
        let mut message = format!("the template does not parse: {detail}");
        let help = if form != Form::Template && self.text.trim_start().starts_with("{{") {
            message = "an expression without braces is expected here".to_owned();
            "this key is an expression already: leave the braces out"
        } else if self.text.contains("&&") || self.text.contains("||") {
            "write `and` and `or`"
        } else if self.text.contains("===") || self.text.contains("!==") {
            "write `==` and `!=`"
        } else if detail.contains("expected end of variable block") {
            "is the closing `}}` missing?"
        } else if detail.contains("expected end of block") {
            "is an `{% endif %}` or `{% endfor %}` missing, or a closing `%}`?"
        } else if form != Form::Template && self.text.get(range.clone()) == Some("=") {
            "write `==` to compare"
        } else {
            "expressions are Jinja: `args.name`, `x | filter`, `a == b`, `a if b else c`"
        };
        self.push(Code::Template, range, message, help);
        Shape::Any
    }

    pub(super) fn push(
        &mut self,
        code: Code,
        range: Range<usize>,
        message: String,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem {
            code,
            range,
            message,
            help: help.into(),
            warning: code == Code::MaybeUndefined,
        });
    }

    pub(super) fn condition(&mut self, expr: &Expr<'a>) -> Shape {
        self.lenient += 1;
        let shape = self.expr(expr);
        self.lenient -= 1;
        shape
    }

    /// Notes the paths a condition mentions; answers with the mark to go back to.
    pub(super) fn guard(&mut self, condition: &Expr<'a>) -> usize {
        let mut paths = Vec::new();
        mentioned(condition, &mut paths);
        self.scope.guard(paths)
    }

    pub(super) fn expr(&mut self, expr: &Expr<'a>) -> Shape {
        match expr {
            Expr::Var(var) => self.var(var.id, bytes(var.span())),
            Expr::Const(value) => match value.value.kind() {
                ValueKind::String => Shape::Text,
                ValueKind::Number => Shape::Number,
                ValueKind::Bool => Shape::Bool,
                _ => Shape::Any,
            },
            Expr::GetAttr(node) => {
                let inner = self.inner(&node.expr);
                let end = bytes(node.span()).end;
                self.field(
                    expr,
                    &inner,
                    node.name,
                    end.saturating_sub(node.name.len())..end,
                )
            }
            Expr::GetItem(node) => {
                let inner = self.inner(&node.expr);
                self.expr(&node.subscript_expr);
                match &node.subscript_expr {
                    Expr::Const(c) if c.value.kind() == ValueKind::String => {
                        let name = c.value.to_string();
                        self.field(expr, &inner, &name, bytes(c.span()))
                    }
                    _ => inner.element(),
                }
            }
            Expr::Slice(node) => {
                for part in [&node.start, &node.stop, &node.step].into_iter().flatten() {
                    self.expr(part);
                }
                self.expr(&node.expr)
            }
            Expr::UnaryOp(node) => match node.op {
                ast::UnaryOpKind::Not => {
                    self.condition(&node.expr);
                    Shape::Bool
                }
                ast::UnaryOpKind::Neg => {
                    self.expr(&node.expr);
                    Shape::Number
                }
            },
            Expr::BinOp(node) => self.bin_op(node),
            Expr::Compare(node) => {
                self.operand(&node.expr);
                for op in &node.ops {
                    self.operand(&op.expr);
                }
                Shape::Bool
            }
            Expr::IfExpr(node) => self.if_expr(node),
            Expr::Filter(node) => self.filter(node, bytes(node.span())),
            Expr::Test(node) => self.test(node, bytes(node.span())),
            Expr::Call(node) => self.call(node),
            Expr::List(node) => {
                node.items.iter().for_each(|item| drop(self.expr(item)));
                Shape::Any.list()
            }
            Expr::Tuple(node) => {
                node.items.iter().for_each(|item| drop(self.expr(item)));
                Shape::Any.list()
            }
            Expr::Map(node) => {
                for part in node.keys.iter().chain(&node.values) {
                    self.expr(part);
                }
                Shape::Any
            }
        }
    }

    /// A side of a comparison: an absent value fails it, except where the whole is a condition, which then does not
    /// hold.
    fn operand(&mut self, expr: &Expr<'a>) -> Shape {
        if self.is_condition {
            return self.condition(expr);
        }
        self.inner(expr)
    }

    /// The object of an access: an absent one fails whatever surrounds it, unless a guard covers it.
    fn inner(&mut self, expr: &Expr<'a>) -> Shape {
        let lenient = std::mem::take(&mut self.lenient);
        let shape = self.expr(expr);
        self.lenient = lenient;
        shape
    }

    fn var(&mut self, name: &str, range: Range<usize>) -> Shape {
        if let Some(shape) = self.scope.get(name) {
            return shape.clone();
        }
        if CONSTANTS.iter().any(|(n, _)| *n == name) {
            return Shape::Any;
        }
        let help = suggest::help(
            name,
            self.scope.names().chain(CONSTANTS.iter().map(|(n, _)| *n)),
        );
        self.push(
            Code::UnknownName,
            range,
            format!("unknown name `{name}`"),
            help,
        );
        Shape::Any
    }

    fn field(&mut self, whole: &Expr<'a>, of: &Shape, name: &str, range: Range<usize>) -> Shape {
        let path = path(whole).unwrap_or_else(|| name.to_owned());
        match of.field(name) {
            Lookup::Found(field) => {
                let shape = field.shape.clone();
                let guarded = self.lenient > 0 || self.scope.is_guarded(&path);
                if field.optional && !guarded {
                    self.push(
                        Code::MaybeUndefined,
                        range,
                        format!("`{path}` may be absent here, and the call would fail"),
                        "write `| default(…)`, `| default(omit)` to leave the key out, or put it under an `if` or `when` that asks for it",
                    );
                }
                shape
            }
            Lookup::Unknowable => Shape::Any,
            Lookup::Missing(known) => {
                let help = suggest::help(name, known);
                let owner = path.rsplit_once('.').map_or(path.as_str(), |(o, _)| o);
                self.push(
                    Code::UnknownName,
                    range,
                    format!("`{owner}` has no field `{name}`"),
                    help,
                );
                Shape::Any
            }
        }
    }

    fn bin_op(&mut self, node: &ast::BinOp<'a>) -> Shape {
        use BinOpKind::{Add, Concat, Div, FloorDiv, Mul, Pow, Rem, ScAnd, ScOr, Sub};
        match node.op {
            ScAnd | ScOr => {
                self.condition(&node.left);
                let guards = self.guard(&node.left);
                let shape = self.condition(&node.right);
                self.scope.unguard(guards);
                shape
            }
            Add | Sub | Mul | Div | FloorDiv | Rem | Pow | Concat => {
                let left = self.expr(&node.left);
                let right = self.expr(&node.right);
                if matches!(node.op, Mul) && (left != Shape::Number || right != Shape::Number) {
                    // Text times number repeats the text: one argument could ask for gigabytes.
                    self.push(
                        Code::Unbounded,
                        bytes(node.left.span()).start..bytes(node.right.span()).end,
                        "`*` needs two numbers, and this may be a text".to_owned(),
                        "say so with `| int` or `| float` on both sides",
                    );
                }
                match node.op {
                    Concat => Shape::Text,
                    Add => left,
                    _ => Shape::Number,
                }
            }
            _ => {
                self.operand(&node.left);
                self.operand(&node.right);
                Shape::Bool
            }
        }
    }

    fn if_expr(&mut self, node: &ast::IfExpr<'a>) -> Shape {
        self.condition(&node.test_expr);
        let guards = self.guard(&node.test_expr);
        let yes = self.expr(&node.true_expr);
        let no = node.false_expr.as_ref().map(|e| self.expr(e));
        self.scope.unguard(guards);
        match no {
            Some(no) if no == yes => yes,
            _ => Shape::Any,
        }
    }

    fn filter(&mut self, node: &ast::Filter<'a>, range: Range<usize>) -> Shape {
        let input = match &node.expr {
            Some(expr) if node.name == "default" => self.condition(expr),
            Some(expr) => self.expr(expr),
            None => Shape::Any,
        };
        self.args(&node.args);
        self.known("filter", node.name, FILTERS, range);
        if matches!(
            node.name,
            "map" | "selectattr" | "rejectattr" | "groupby" | "sort"
        ) {
            self.attribute(&input.element(), node);
        }
        self.patterns_in(node);
        match node.name {
            "length" | "int" | "float" | "abs" | "round" | "sum" | "age" | "utf16_length" => {
                Shape::Number
            }
            "bool" => Shape::Bool,
            "upper" | "lower" | "title" | "capitalize" | "trim" | "join" | "replace" | "string"
            | "tojson" | "slug" | "cell" | "indent" | "fixed" | "stream_token" | "thousands"
            | "urlencode" | "sha256" | "uuid_from" | "token" | "untoken" | "time" | "base64"
            | "base64url" | "from_base64url" | "json" | "from_ms" | "clock" => Shape::Text,
            "first" | "last" | "min" | "max" => input.element(),
            "default" | "list" | "sort" | "reverse" | "unique" | "select" | "reject"
            | "selectattr" | "rejectattr" => input,
            "map" | "split" | "lines" | "items" | "dictsort" | "groupby" => Shape::Any.list(),
            _ => Shape::Any,
        }
    }

    /// `map(attribute='name')`, `selectattr('name', …)`: the attribute is a name like any other.
    fn attribute(&mut self, element: &Shape, node: &ast::Filter<'a>) {
        let positional = matches!(node.name, "selectattr" | "rejectattr" | "groupby");
        let constant = node.args.iter().find_map(|arg| match arg {
            CallArg::Kwarg("attribute", Expr::Const(c)) => Some(c),
            CallArg::Pos(Expr::Const(c)) if positional => Some(c),
            _ => None,
        });
        if let Some(name) = constant
            && let Some(text) = name.value.as_str()
            && let Lookup::Missing(known) = element.field(text)
        {
            let help = suggest::help(text, known);
            self.push(
                Code::UnknownName,
                bytes(name.span()),
                format!("the elements have no field `{text}`"),
                help,
            );
        }
    }

    fn test(&mut self, node: &ast::Test<'a>, range: Range<usize>) -> Shape {
        self.condition(&node.expr);
        self.args(&node.args);
        self.known("test", node.name, TESTS, range.clone());
        if node.name == "match" {
            self.pattern(node.args.first(), range);
        }
        Shape::Bool
    }

    /// `select('match', …)`, `selectattr('name', 'match', …)`: the test of the elements is a test like any other.
    fn patterns_in(&mut self, node: &ast::Filter<'a>) {
        let test = match node.name {
            "select" | "reject" => 0,
            "selectattr" | "rejectattr" => 1,
            _ => return,
        };
        if let Some(CallArg::Pos(Expr::Const(name))) = node.args.get(test)
            && name.value.as_str() == Some("match")
        {
            self.pattern(node.args.get(test + 1), bytes(name.span()));
        }
    }

    /// The regular expression of a `match`: a literal text, so that it is known here whether it is one.
    fn pattern(&mut self, arg: Option<&CallArg<'a>>, near: Range<usize>) {
        let literal = match arg {
            Some(CallArg::Pos(Expr::Const(c))) => c.value.as_str().map(|text| (text, c.span())),
            _ => None,
        };
        let Some((text, span)) = literal else {
            let message = "`match` needs a regular expression that is written out".to_owned();
            self.push(Code::Template, near, message, "write `match('^[a-z]+$')`");
            return;
        };
        if let Err(problem) = pattern::compile(text) {
            self.push(
                Code::Template,
                bytes(span),
                format!("this is no regular expression: {problem}"),
                "groups, classes and repetitions as in most languages; no look-around and no back references",
            );
        }
    }

    fn call(&mut self, node: &ast::Call<'a>) -> Shape {
        self.args(&node.args);
        match node.identify_call() {
            ast::CallType::Function(name) => {
                if name == DOCUMENT && self.scope.get(name).is_some() {
                    return Shape::Any;
                }
                self.known("function", name, FUNCTIONS, bytes(node.expr.span()));
                match name {
                    "now" | "uuid" => Shape::Text,
                    "now_ms" | "serial" => Shape::Number,
                    "range" => Shape::Number.list(),
                    _ => Shape::Any,
                }
            }
            ast::CallType::Method(_, name) => {
                self.push(
                    Code::UnknownFunction,
                    bytes(node.expr.span()),
                    format!("values have no methods: `.{name}()`"),
                    "use a filter: `value | filter`",
                );
                Shape::Any
            }
            ast::CallType::Object(expr) => {
                self.expr(expr);
                Shape::Any
            }
        }
    }

    fn args(&mut self, args: &[CallArg<'a>]) {
        for arg in arguments(args) {
            self.expr(arg);
        }
    }

    fn known(&mut self, kind: &str, name: &str, table: &[(&str, &str)], near: Range<usize>) {
        if table.iter().any(|(n, _)| *n == name) {
            return;
        }
        let range = self
            .text
            .get(near.clone())
            .and_then(|part| part.rfind(name))
            .map_or(near.clone(), |at| {
                near.start + at..near.start + at + name.len()
            });
        let help = suggest::help(name, table.iter().map(|(n, _)| *n));
        self.push(
            Code::UnknownFunction,
            range,
            format!("unknown {kind} `{name}`"),
            help,
        );
    }
}

pub(super) fn bytes(span: Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}
