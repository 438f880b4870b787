//! What the parts of the engine cost by themselves.

use std::hint::black_box;
use std::time::Instant;

use jacquard::catalog::Templates;
use jacquard::spec::data::Text;
use jacquard::spec::model::TextKind;
use jacquard::spec::tree::{Expr, Template, Token};
use serde_json::json;

use super::bed::Bed;
use super::table::Table;
use super::{Fallible, Scale};

/// Nanoseconds of one run of `work`, the mean of many.
fn nanoseconds<T, E: std::error::Error + 'static>(
    repeats: usize,
    mut work: impl FnMut() -> Result<T, E>,
) -> Fallible<f64> {
    for _ in 0..repeats / 10 {
        black_box(work()?);
    }
    let begin = Instant::now();
    for _ in 0..repeats {
        black_box(work()?);
    }
    Ok(begin.elapsed().as_secs_f64() * 1e9 / repeats as f64)
}

/// Expressions, templates, and the check of arguments.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let condition = "args.message | trim";
    let text = "Message sent to #{{ args.channel }} by {{ session.handle }}";
    let token = "bench.{{ args.channel }}";
    let mut templates = Templates::new();
    let texts: Vec<(TextKind, Text)> = vec![
        (TextKind::Condition, condition.into()),
        (TextKind::Text, text.into()),
        (TextKind::Token, token.into()),
    ];
    templates.add(&texts.into())?;
    let context = minijinja::context!(
        args => minijinja::context!(channel => "roadmap", message => "m".repeat(400)),
        session => minijinja::context!(handle => "bench"),
    );
    let n = scale.repeats;
    let mut add = |name: &str, cost: f64| table.value(name, n, cost, "ns", None);

    let expr = Expr(condition.into());
    add(
        "an expression",
        nanoseconds(n, || templates.test(&expr, &context))?,
    );
    let reply = Template(text.into());
    add(
        "a text of a reply",
        nanoseconds(n, || templates.text(&reply, &context))?,
    );
    let subject = Token(token.into());
    add(
        "a subject",
        nanoseconds(n, || templates.token(&subject, &context))?,
    );

    let gateway = bed.gateway()?;
    let catalog = gateway.catalog();
    let tool = catalog
        .tool("warp_channels_send")
        .ok_or("the default config has no warp_channels_send")?;
    let arguments = json!({"channel": "stdio", "message": "m".repeat(400)});
    let given = arguments.as_object().cloned();
    let check = || {
        tool.arguments(given.clone())
            .map_err(|lines| std::io::Error::other(lines.join("; ")))
    };
    add("the check of arguments", nanoseconds(n, check)?);
    bed.runtime.block_on(gateway.close());
    Ok(())
}
