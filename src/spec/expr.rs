//! What an expression or template uses: every name in it is looked up before anything runs.
//!
//! Walks the syntax tree of minijinja (feature `unstable_machinery`, version pinned) because only the tree has
//! the place of each name, filter and test.

use std::ops::Range;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, Expr, Stmt};
use minijinja::machinery::{Span, parse, parse_expr};
use minijinja::value::ValueKind;

use super::diag::Code;
use super::env::{CONSTANTS, FILTERS, FUNCTIONS, TESTS};
use super::shape::{Lookup, Scope, Shape};
use super::suggest;

/// Whether a text is one bare expression or a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `project.channels`: an expression whose value is used.
    Bare,
    /// `args.x and args.y > 1`: an expression that is asked for its truth, so an absent value is merely false.
    Condition,
    /// `text {{ args.x }}`
    Template,
}

/// Something wrong inside an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The kind.
    pub code: Code,
    /// Where, in bytes of the text.
    pub range: Range<usize>,
    /// What.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Whether it is only a warning.
    pub warning: bool,
}

/// Looks up every name of an expression or template, and tells the shape of an expression's value.
pub fn check(text: &str, form: Form, scope: &Scope) -> (Vec<Problem>, Shape) {
    let mut walker = Walker {
        text,
        scope: scope.clone(),
        lenient: 0,
        problems: Vec::new(),
    };
    let shape = match form {
        Form::Bare => match parse_expr(text) {
            Ok(expr) => walker.expr(&expr),
            Err(error) => walker.syntax(&error, Shape::Any),
        },
        Form::Condition => match parse_expr(text) {
            Ok(expr) => walker.condition(&expr),
            Err(error) => walker.syntax(&error, Shape::Any),
        },
        Form::Template => match parse(text, "", Default::default()) {
            Ok(stmt) => walker.stmt_shape(&stmt),
            Err(error) => walker.syntax(&error, Shape::Any),
        },
    };
    (walker.problems, shape)
}

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

struct Walker<'a> {
    text: &'a str,
    scope: Scope,
    /// Above zero where an absent value does no harm (conditions, `default`, `is defined`).
    lenient: usize,
    problems: Vec<Problem>,
}

impl<'a> Walker<'a> {
    fn syntax(&mut self, error: &minijinja::Error, shape: Shape) -> Shape {
        let range = error.range().unwrap_or(0..self.text.len());
        let detail = error.detail().unwrap_or("it does not parse").to_owned();
        let help = if self.text.trim_start().starts_with("{{") {
            "this key is an expression already: leave the braces out"
        } else {
            "expressions are Jinja: `args.name`, `x | filter`, `a == b`, `a if b else c`"
        };
        self.push(
            Code::Template,
            range,
            format!("the template does not parse: {detail}"),
            help,
        );
        shape
    }

    fn push(&mut self, code: Code, range: Range<usize>, message: String, help: impl Into<String>) {
        self.problems.push(Problem {
            code,
            range,
            message,
            help: help.into(),
            warning: code == Code::MaybeUndefined,
        });
    }

    fn stmt_shape(&mut self, stmt: &Stmt<'a>) -> Shape {
        // A template that is one expression has that expression's shape; any other is a text.
        if let Stmt::Template(template) = stmt
            && let [Stmt::EmitExpr(emit)] = template.children.as_slice()
        {
            return self.expr(&emit.expr);
        }
        self.stmt(stmt);
        Shape::Text
    }

    fn body(&mut self, body: &[Stmt<'a>]) {
        for stmt in body {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt<'a>) {
        match stmt {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitExpr(emit) => {
                self.expr(&emit.expr);
            }
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(node) => self.for_loop(node),
            Stmt::IfCond(node) => {
                self.condition(&node.expr);
                let guards = self.guard(&node.expr);
                self.body(&node.true_body);
                self.body(&node.false_body);
                self.scope.unguard(guards);
            }
            Stmt::WithBlock(node) => {
                let mark = self.scope.mark();
                for (target, value) in &node.assignments {
                    let shape = self.expr(value);
                    self.bind(target, shape);
                }
                self.body(&node.body);
                self.scope.truncate(mark);
            }
            Stmt::Set(node) => {
                let shape = self.expr(&node.expr);
                self.bind(&node.target, shape);
            }
            Stmt::SetBlock(node) => {
                self.body(&node.body);
                self.bind(&node.target, Shape::Text);
            }
            Stmt::AutoEscape(node) => self.refuse("autoescape", node.span()),
            Stmt::FilterBlock(node) => {
                self.expr(&node.filter);
                self.body(&node.body);
            }
            Stmt::Do(node) => self.refuse("do", node.span()),
        }
    }

    fn refuse(&mut self, what: &str, span: Span) {
        self.push(
            Code::Template,
            bytes(span),
            format!("`{what}` is not part of the language"),
            "use `if`, `for`, `set`, `with` and filters",
        );
    }

    fn for_loop(&mut self, node: &ast::ForLoop<'a>) {
        let element = self.expr(&node.iter).element();
        let mark = self.scope.mark();
        self.bind(&node.target, element);
        self.scope.bind("loop", Shape::Any);
        if let Some(filter) = &node.filter_expr {
            self.condition(filter);
        }
        self.body(&node.body);
        self.scope.truncate(mark);
        self.body(&node.else_body);
    }

    fn bind(&mut self, target: &Expr<'a>, shape: Shape) {
        match target {
            Expr::Var(var) => self.scope.bind(var.id, shape),
            Expr::List(list) => {
                for item in &list.items {
                    self.bind(item, Shape::Any);
                }
            }
            Expr::Tuple(tuple) => {
                for item in &tuple.items {
                    self.bind(item, Shape::Any);
                }
            }
            _ => {}
        }
    }

    fn condition(&mut self, expr: &Expr<'a>) -> Shape {
        self.lenient += 1;
        let shape = self.expr(expr);
        self.lenient -= 1;
        shape
    }

    /// Notes the paths a condition mentions; answers with the mark to go back to.
    fn guard(&mut self, condition: &Expr<'a>) -> usize {
        let mut paths = Vec::new();
        mentioned(condition, &mut paths);
        self.scope.guard(paths)
    }

    fn expr(&mut self, expr: &Expr<'a>) -> Shape {
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
                self.condition(&node.expr);
                for op in &node.ops {
                    self.condition(&op.expr);
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
                self.condition(&node.left);
                self.condition(&node.right);
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
        match node.name {
            "length" | "int" | "float" | "abs" | "round" | "sum" => Shape::Number,
            "bool" => Shape::Bool,
            "upper" | "lower" | "title" | "capitalize" | "trim" | "join" | "replace" | "string"
            | "tojson" | "indent" | "fixed" | "stream_token" | "thousands" | "urlencode" => {
                Shape::Text
            }
            "first" | "last" | "min" | "max" => input.element(),
            "default" | "list" | "sort" | "reverse" | "unique" | "select" | "reject"
            | "selectattr" | "rejectattr" => input,
            "map" | "split" | "lines" | "items" | "dictsort" | "batch" | "groupby" => {
                Shape::Any.list()
            }
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
        self.known("test", node.name, TESTS, range);
        Shape::Bool
    }

    fn call(&mut self, node: &ast::Call<'a>) -> Shape {
        self.args(&node.args);
        match node.identify_call() {
            ast::CallType::Function(name) => {
                self.known("function", name, FUNCTIONS, bytes(node.expr.span()));
                match name {
                    "now" | "uuid" => Shape::Text,
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
        for arg in args {
            match arg {
                CallArg::Pos(e)
                | CallArg::Kwarg(_, e)
                | CallArg::PosSplat(e)
                | CallArg::KwargSplat(e) => drop(self.expr(e)),
            }
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

fn bytes(span: Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

/// The dotted path of an access such as `args.filter.kind`.
fn path(expr: &Expr<'_>) -> Option<String> {
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
fn mentioned(expr: &Expr<'_>, into: &mut Vec<String>) {
    if let Some(path) = path(expr) {
        into.push(path);
    }
    match expr {
        Expr::GetAttr(node) => mentioned(&node.expr, into),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope() -> Scope {
        let args = Shape::from_schema(&json!({
            "type": "object", "required": ["channel", "n", "any"],
            "properties": {
                "channel": {"type": "string"}, "n": {"type": "integer"},
                "note": {"type": "string"}, "limit": {"type": "integer", "default": 5},
                "any": {},
                "list": {"type": "array", "items": {"type": "object", "properties": {"name": {}}}, "default": []}
            }
        }));
        Scope::new().with("args", args)
    }

    fn problems(text: &str) -> Vec<(Code, String)> {
        let form = if text.contains("{{") || text.contains("{%") {
            Form::Template
        } else {
            Form::Bare
        };
        check(text, form, &scope())
            .0
            .into_iter()
            .map(|p| (p.code, text.get(p.range).unwrap_or("?").to_owned()))
            .collect()
    }

    #[test]
    fn right_names_pass() {
        for good in [
            "args.channel",
            "args['channel']",
            "args.any.thing.else[0]",
            "args.limit * 2",
            "args.note is defined and args.note | length > 3",
            "{% for x in args.list %}{{ x.name | default('-') }}{{ loop.index }}{% endfor %}",
            "{% if args.note %}{{ args.note }}{% endif %}",
            "{{ args.note | default(omit) }}",
            "{{ args.note if args.note else 'none' }}",
            "{{ now() }} {{ uuid() }}",
            "{% set x = args.n %}{{ x + 1 }}",
            "args.list | map(attribute='name') | list",
            "not args.note",
            "args.note == 'x'",
        ] {
            assert_eq!(problems(good), [], "{good}");
        }
    }

    #[test]
    fn wrong_names_are_found_where_they_stand() {
        for (text, code, at) in [
            ("args.chanel", Code::UnknownName, "chanel"),
            ("args['chanel']", Code::UnknownName, "'chanel'"),
            ("arg.channel", Code::UnknownName, "arg"),
            ("args.channel | uper", Code::UnknownFunction, "uper"),
            ("args.channel is strin", Code::UnknownFunction, "strin"),
            ("nowt()", Code::UnknownFunction, "nowt"),
            (
                "args.channel.upper()",
                Code::UnknownFunction,
                ".channel.upper",
            ),
            ("args.channel.name", Code::UnknownName, "name"),
            (
                "args.list | map(attribute='nam') | list",
                Code::UnknownName,
                "'nam'",
            ),
            ("{{ args.note }}", Code::MaybeUndefined, "note"),
            ("args.channel * 9", Code::Unbounded, "args.channel * 9"),
            (
                "{% for x in args.list %}{{ x.nam }}{% endfor %}",
                Code::UnknownName,
                "nam",
            ),
        ] {
            assert_eq!(problems(text), [(code, at.to_owned())], "{text}");
        }
    }

    #[test]
    fn broken_syntax_is_one_problem_with_a_place() {
        for text in ["args.", "{{ args.channel", "{% if %}", "a b", "{{ x | }}"] {
            let found = problems(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found.first().map(|(c, _)| *c), Some(Code::Template));
        }
    }
}
