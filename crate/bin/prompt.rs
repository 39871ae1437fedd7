//! `darkroom prompt`: shows what a prompt means.

use std::fmt::Write;

use darkroom::text::prompt::describe::{describe, problems};
use darkroom::text::tokenizer::Tokenizer;
use darkroom::weights::source::locate;
use darkroom::{Error, Result, model};
use serde_json::Value;

use crate::additions::open_embeddings;
use crate::args::Prompt;

/// Most sampling steps: the training timesteps of Stable Diffusion.
const MAX_STEPS: usize = 1000;

/// Prints what the prompt of `args` means.
///
/// # Errors
/// [`Error::Request`] for a number of steps out of range; those of the model's files.
pub async fn prompt(args: &Prompt) -> Result<()> {
    if !(1..=MAX_STEPS).contains(&args.steps) {
        let expected = format!("1 to {MAX_STEPS}");
        return Err(Error::request("steps", args.steps, expected));
    }
    let mut tokenizer = match &args.model {
        Some(place) => model::tokenizer(&*locate::open(place, None)?).await?,
        None => model::clip_tokenizer()?,
    };
    tokenizer.set_embeddings(&open_embeddings(&args.embedding).await?);
    let meaning = describe(&args.text, args.prompt_syntax, args.steps, &tokenizer)?;
    match args.json {
        true => println!("{meaning}"),
        false => print!("{}", table(args, &meaning, &tokenizer)),
    }
    Ok(())
}

/// The pairs of a list such as `[[text, weight], …]`.
fn pairs<'a>(meaning: &'a Value, name: &str) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let list = meaning[name].as_array().into_iter().flatten();
    list.map(|pair| (&pair[0], &pair[1]))
}

/// The result of [`describe`] as a table for people.
fn table(args: &Prompt, meaning: &Value, tokenizer: &Tokenizer) -> String {
    let mut table = String::from("weights\n");
    // Writing to a string does not fail.
    for (text, weight) in pairs(meaning, "weights") {
        let weight = weight.as_f64().unwrap_or_default();
        let _ = match (text.as_str(), weight) {
            (Some("BREAK"), -1.0) => writeln!(table, "  {:<14} a new chunk", "BREAK"),
            _ => writeln!(table, "  {:<14} {text}", format!("{weight:.4}")),
        };
    }
    if pairs(meaning, "parts").count() > 1 {
        table += "prompts joined by AND\n";
        for (text, weight) in pairs(meaning, "parts") {
            let _ = writeln!(table, "  {:<14} {text}", weight.to_string());
        }
    }
    table += "schedule\n";
    for (last_step, text) in pairs(meaning, "schedule") {
        let _ = writeln!(table, "  {:<14} {text}", format!("to step {last_step}"));
    }
    table += "tokens of the first step\n";
    table += &chunk_lines(meaning, tokenizer);
    let problems = problems(&args.text, args.prompt_syntax);
    if !problems.is_empty() {
        table += "problems\n";
    }
    for problem in problems {
        let sign = format!("{:?}", &args.text[problem.span]);
        let _ = writeln!(table, "  {sign:<14} {}", problem.kind);
    }
    table
}

/// A line for each chunk: its number, its content and the number of tokens.
fn chunk_lines(meaning: &Value, tokenizer: &Tokenizer) -> String {
    let empty = tokenizer.empty_chunk();
    let room = empty.len() - 2;
    let chunks = meaning["chunks"].as_array().into_iter().flatten();
    let lines = chunks.enumerate().map(|(index, chunk)| {
        let ids: Vec<u64> = chunk
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        let end = ids.iter().skip(1).position(|&id| id == u64::from(empty[1]));
        let length = end.unwrap_or(room);
        let content: Vec<String> = ids[1..=length].iter().map(u64::to_string).collect();
        let name = format!("chunk {}", index + 1);
        format!("  {name:<14} {length} of {room}: {}\n", content.join(" "))
    });
    lines.collect()
}
