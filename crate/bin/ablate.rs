//! `--ablate`: which terms of the negative prompt change the picture.
//!
//! Each term is left out in turn, with everything else the same. What it changes is measured on the
//! pixels, over several seeds.

use std::ops::Range;
use std::rc::Rc;

use darkroom::error::printable;
use darkroom::{Error, Picture, Request, Result};
use serde::Serialize;
use serde_json::json;

use crate::args::Generate;
use crate::canvas::heat;
use crate::generate::{Loaded, load};
use crate::progress_bar::ProgressBar;
use crate::series::Series;
use crate::study::{make_folder, plain, write_json, write_png};

/// A pixel is visibly changed if one of its colours differs by so much of 255 or more.
const VISIBLE_PIXEL: u8 = 24;
/// A picture is visibly changed if so large a share of its pixels is.
const VISIBLE_SHARE: f64 = 0.01;
/// Standard normal quantile of a two-sided interval of 95 %.
const Z: f64 = 1.959964;

/// Difference of two pictures.
#[derive(Debug, Clone, Copy, Serialize)]
struct Change {
    /// Root of the mean square over pixels and colours, of 255.
    rms: f64,
    /// Share of visibly changed pixels.
    share: f64,
}

/// A term with its changes.
struct Term {
    text: String,
    /// The negative prompt without the term.
    rest: String,
    /// Changes by seed.
    changes: Vec<Change>,
}

/// Summary of a term.
#[derive(Debug, Serialize)]
struct Summary {
    rank: usize,
    term: String,
    mean_rms: f64,
    mean_share: f64,
    /// Seeds with a visibly changed picture.
    visible: usize,
    /// Wilson interval of 95 % for the share of such seeds.
    interval: [f64; 2],
    /// Seeds in which no term changed more.
    first: usize,
}

/// Leaves the terms of the negative prompt out one at a time, writes the pictures to the folder
/// `--out`, and prints a table.
///
/// # Errors
/// [`Error::Request`] for a negative prompt without terms; those of the engine and of the folder.
pub async fn ablate(args: &Generate, seeds: u64) -> Result<()> {
    let spans = terms(&args.negative_prompt);
    if spans.is_empty() {
        let expected = "terms with commas between them, to leave out one at a time";
        return Err(Error::request(
            "negative-prompt",
            &args.negative_prompt,
            expected,
        ));
    }
    make_folder(&args.out)?;
    let bar = Rc::new(ProgressBar::default());
    let Loaded { pipeline, .. } = load(args, &bar).await?;
    let request = args.request(&pipeline.info()?);
    let term = |span: &Range<usize>| Term {
        text: args.negative_prompt[span.clone()].to_string(),
        rest: without(&args.negative_prompt, span),
        changes: Vec::new(),
    };
    let mut terms: Vec<Term> = spans.iter().map(term).collect();
    let pictures = seeds as usize * (1 + terms.len());
    eprintln!("{pictures} pictures: {seeds} seeds with all terms and without each");
    let mut series = Series::new(&pipeline, &bar, pictures);
    for number in 0..seeds {
        let seed = request.seed.wrapping_add(number);
        let request = Request {
            seed,
            ..request.clone()
        };
        let all = series.make(&request).await?;
        write_png(&args.out, &format!("{seed}-all.png"), &all)?;
        for (index, term) in terms.iter_mut().enumerate() {
            let negative_prompt = term.rest.clone();
            let without = series
                .make(&Request {
                    negative_prompt,
                    ..request.clone()
                })
                .await?;
            let name = format!("{seed}-{}-{}", index + 1, plain(&term.text));
            write_png(&args.out, &format!("{name}-without.png"), &without)?;
            write_png(
                &args.out,
                &format!("{name}-difference.png"),
                &difference(&all, &without),
            )?;
            term.changes.push(change(&all, &without));
        }
    }
    bar.end();
    let summary = summarize(&terms);
    let report = json!({
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "first_seed": request.seed,
        "seeds": seeds,
        "steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "visible_pixel": VISIBLE_PIXEL,
        "visible_share": VISIBLE_SHARE,
        "terms": summary,
        "changes": terms.iter().map(|term| json!({
            "term": term.text,
            "by_seed": term.changes,
        })).collect::<Vec<_>>(),
    });
    write_json(&args.out.join("ablation.json"), &report)?;
    match args.json {
        true => println!("{report}"),
        false => print!("{}", table(&summary, seeds)),
    }
    Ok(())
}

/// Bytes of the terms of a negative prompt: what is between commas outside brackets.
fn terms(prompt: &str) -> Vec<Range<usize>> {
    let mut depth = 0usize;
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, sign) in prompt.char_indices() {
        match sign {
            _ if escaped => {}
            '(' | '[' | '<' | '{' => depth += 1,
            ')' | ']' | '>' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
        escaped = sign == '\\' && !escaped;
    }
    terms.push(start..prompt.len());
    let trimmed = |span: Range<usize>| {
        let text = &prompt[span.clone()];
        let begin = span.start + text.len() - text.trim_start().len();
        begin..begin + text.trim().len()
    };
    terms
        .into_iter()
        .map(trimmed)
        .filter(|span| !span.is_empty())
        .collect()
}

/// `prompt` without a term and the comma that belongs to it.
fn without(prompt: &str, term: &Range<usize>) -> String {
    let (before, after) = (&prompt[..term.start], &prompt[term.end..]);
    match after.trim_start().strip_prefix(',') {
        Some(rest) => format!("{before}{}", rest.trim_start()),
        None => {
            let before = before.trim_end();
            let before = before.strip_suffix(',').unwrap_or(before);
            format!("{before}{after}")
        }
    }
}

/// The difference of two pictures of one size.
fn change(a: &Picture, b: &Picture) -> Change {
    let pixels = a.rgba.chunks(4).zip(b.rgba.chunks(4));
    let (mut squares, mut visible) = (0.0, 0usize);
    for (a, b) in pixels {
        let differences = [0, 1, 2].map(|colour| a[colour].abs_diff(b[colour]));
        squares += differences
            .map(|d| f64::from(d).powi(2))
            .iter()
            .sum::<f64>();
        visible += usize::from(differences.iter().any(|&d| d >= VISIBLE_PIXEL));
    }
    let count = (a.width * a.height) as f64;
    Change {
        rms: (squares / (3.0 * count)).sqrt(),
        share: visible as f64 / count,
    }
}

/// A heat map of the difference: the largest of the three colours at each pixel.
fn difference(a: &Picture, b: &Picture) -> Picture {
    let pixels = a.rgba.chunks(4).zip(b.rgba.chunks(4));
    let largest = |(a, b): (&[u8], &[u8])| {
        let differences = [0, 1, 2].map(|colour| a[colour].abs_diff(b[colour]));
        f32::from(differences.into_iter().max().unwrap_or(0))
    };
    heat(
        &pixels.map(largest).collect::<Vec<_>>(),
        a.width,
        a.height,
        255.0,
    )
}

/// The terms by rank: first the one that changes most where it is left out.
fn summarize(terms: &[Term]) -> Vec<Summary> {
    let seeds = terms.first().map_or(0, |term| term.changes.len());
    let most = |seed: usize| {
        let all = terms.iter().map(|term| term.changes[seed].rms);
        all.fold(0.0, f64::max)
    };
    let mean = |term: &Term, of: fn(&Change) -> f64| {
        term.changes.iter().map(of).sum::<f64>() / seeds.max(1) as f64
    };
    let mut summaries: Vec<Summary> = terms
        .iter()
        .map(|term| {
            let visible = term
                .changes
                .iter()
                .filter(|c| c.share >= VISIBLE_SHARE)
                .count();
            let first = (0..seeds).filter(|&s| {
                let rms = term.changes[s].rms;
                rms > 0.0 && rms >= most(s)
            });
            Summary {
                rank: 0,
                term: term.text.clone(),
                mean_rms: mean(term, |change| change.rms),
                mean_share: mean(term, |change| change.share),
                visible,
                interval: wilson(visible, seeds),
                first: first.count(),
            }
        })
        .collect();
    summaries.sort_by(|a, b| b.mean_rms.total_cmp(&a.mean_rms));
    for (index, summary) in summaries.iter_mut().enumerate() {
        summary.rank = index + 1;
    }
    summaries
}

/// Wilson's interval of 95 % for a share of which `count` in `n` were seen.
fn wilson(count: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let (share, n) = (count as f64 / n as f64, n as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

/// The summaries as a table for people.
fn table(summaries: &[Summary], seeds: u64) -> String {
    let longest = summaries.iter().map(|s| s.term.chars().count()).max();
    let width = longest.unwrap_or(0).max(4);
    let mut table = format!(
        "rank  {:width$}  changed visibly     95 % interval  mean change  pixels  first\n",
        "term"
    );
    for summary in summaries {
        let Summary {
            rank,
            term,
            visible,
            first,
            mean_rms,
            ..
        } = summary;
        let [low, high] = summary.interval.map(|share| 100.0 * share);
        let term = printable(term);
        let visible = format!("{visible} of {seeds}");
        let share = 100.0 * summary.mean_share;
        table += &format!(
            "{rank:>4}  {term:width$}  {visible:>15}  {low:>6.0} to {high:>3.0} %  \
             {mean_rms:>11.1}  {share:>4.0} %  {first:>5}\n"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(prompt: &str) -> Vec<&str> {
        terms(prompt)
            .into_iter()
            .map(|span| &prompt[span])
            .collect()
    }

    #[test]
    fn terms_are_split_at_commas_outside_brackets() {
        assert_eq!(
            texts("mustache, (blurry, dark:1.2) ,[a, b],, x\\(y, z"),
            ["mustache", "(blurry, dark:1.2)", "[a, b]", "x\\(y", "z"]
        );
        assert_eq!(texts(" , ,"), [""; 0]);
        assert_eq!(texts("one"), ["one"]);
    }

    #[test]
    fn a_term_is_left_out_with_one_comma() {
        let prompt = "a, (b, c), d";
        let rests = terms(prompt)
            .iter()
            .map(|term| without(prompt, term))
            .collect::<Vec<_>>();
        assert_eq!(rests, ["(b, c), d", "a, d", "a, (b, c)"]);
        assert_eq!(without("a", &(0..1)), "");
    }

    #[test]
    fn changes_are_measured_on_colours() {
        let picture = |values: [u8; 8]| Picture {
            width: 2,
            height: 1,
            rgba: values.to_vec(),
        };
        let a = picture([0, 0, 0, 255, 100, 100, 100, 255]);
        let same = change(&a, &a);
        assert_eq!((same.rms, same.share), (0.0, 0.0));
        let changed = change(&a, &picture([0, 30, 0, 255, 100, 100, 90, 255]));
        assert_eq!(changed.share, 0.5);
        assert!((changed.rms - (1000.0f64 / 6.0).sqrt()).abs() < 1e-9);
    }

    /// The values are those of Newcombe, Statistics in Medicine 17 (1998), table I.
    #[test]
    fn intervals_are_wilsons() {
        for (count, n, expected) in [
            (81, 263, [0.2553, 0.3662]),
            (15, 148, [0.0624, 0.1605]),
            (0, 20, [0.0, 0.1611]),
            (1, 29, [0.0061, 0.1718]),
        ] {
            let got = wilson(count, n);
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 5e-5, "{count} of {n}: {got}");
            }
        }
    }

    #[test]
    fn terms_without_effect_rank_last_and_never_first() {
        let term = |text: &str, rms: [f64; 2]| Term {
            text: text.into(),
            rest: String::new(),
            changes: rms
                .map(|rms| Change {
                    rms,
                    share: rms / 100.0,
                })
                .to_vec(),
        };
        let terms = [
            term("nothing", [0.0, 0.0]),
            term("a", [3.0, 9.0]),
            term("b", [8.0, 2.0]),
        ];
        let summaries = summarize(&terms);
        let names: Vec<&str> = summaries.iter().map(|s| &s.term[..]).collect();
        assert_eq!(names, ["a", "b", "nothing"]);
        let firsts: Vec<usize> = summaries.iter().map(|s| s.first).collect();
        assert_eq!(firsts, [1, 1, 0]);
        assert_eq!(summaries[0].visible, 2);
    }
}
