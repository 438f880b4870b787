//! The statements of a template: what they bind, and for how long.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, Expr, Stmt};

use super::walker::{Walker, bytes};
use crate::spec::diag::Code;
use crate::spec::shape::{Field, Fields, Shape};

/// What `loop` tells as numbers. (It has more: `first`, `last` and the items beside this one.)
const COUNTS: &[&str] = &[
    "index",
    "index0",
    "revindex",
    "revindex0",
    "length",
    "depth",
    "depth0",
];

impl<'a> Walker<'a> {
    pub(super) fn stmt_shape(&mut self, stmt: &Stmt<'a>) -> Shape {
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
            // Both collect a text whose length nothing bounds.
            Stmt::SetBlock(node) => self.refuse("set … endset", node.span()),
            Stmt::FilterBlock(node) => self.refuse("filter", node.span()),
            Stmt::AutoEscape(node) => self.refuse("autoescape", node.span()),
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
        self.scope.bind("loop", of_loop());
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
}

/// The shape of `loop`.
fn of_loop() -> Shape {
    let count = |name: &&str| {
        let field = Field {
            shape: Shape::Number,
            optional: false,
        };
        ((*name).to_owned(), field)
    };
    Shape::Object(Fields {
        known: COUNTS.iter().map(count).collect(),
        open: true,
    })
}
