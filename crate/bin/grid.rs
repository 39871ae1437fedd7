//! `--grid`: pictures side by side, with one or two settings varied.

use std::collections::HashMap;
use std::rc::Rc;
use std::str::FromStr;

use darkroom::error::printable;
use darkroom::{Error, Picture, Request, Result};
use serde_json::{Map, Value, json};

use crate::args::Generate;
use crate::canvas::{LETTER, blank, place, write};
use crate::generate::{Loaded, load};
use crate::output::{Outputs, png_with_text};
use crate::progress_bar::ProgressBar;
use crate::series::Series;

/// Largest number of pictures. A mistyped range would otherwise run for days.
const MAX_PICTURES: usize = 1000;
/// Setting that replaces a text in both prompts.
const REPLACE: &str = "replace";

/// Settings that vary, as the option gives them.
#[derive(Debug, Clone, PartialEq)]
pub struct GridArg {
    x: Axis,
    y: Option<Axis>,
}

/// A setting and its values.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    setting: String,
    values: Vec<String>,
}

impl FromStr for GridArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let expected = "expected X=SETTING:A|B or X=SETTING:A|B,Y=SETTING:C|D";
        let rest = text.strip_prefix("X=").ok_or(expected)?;
        let (x, y) = match rest.split_once(",Y=") {
            Some((x, y)) => (x, Some(y)),
            None => (rest, None),
        };
        let grid = GridArg {
            x: x.parse()?,
            y: y.map(str::parse).transpose()?,
        };
        match grid.pictures() {
            ..=MAX_PICTURES => Ok(grid),
            pictures => Err(format!(
                "{pictures} pictures, expected at most {MAX_PICTURES}"
            )),
        }
    }
}

impl GridArg {
    fn pictures(&self) -> usize {
        self.x.values.len() * self.y.as_ref().map_or(1, |y| y.values.len())
    }
}

impl FromStr for Axis {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (setting, values) = text
            .split_once(':')
            .ok_or_else(|| format!("“{text}” has no values, expected SETTING:A|B"))?;
        let setting = match setting.trim().replace('-', "_") {
            guidance if guidance == "guidance" => "guidance_scale".into(),
            setting => setting,
        };
        let mut list = Vec::new();
        for value in values.split('|') {
            match range(value).filter(|_| setting != REPLACE) {
                Some((first, last, by)) => {
                    let count = (last - first) / by + 1;
                    if count > MAX_PICTURES as u64 {
                        return Err(format!("{value} has {count} values"));
                    }
                    list.extend((0..count).map(|i| (first + i * by).to_string()));
                }
                None => list.push(value.to_string()),
            }
        }
        if setting == REPLACE && list[0].is_empty() {
            return Err("the first value of replace is the text to look for".into());
        }
        let axis = Axis {
            setting,
            values: list,
        };
        // A mistake in a setting or value should not wait for the model.
        for value in &axis.values {
            axis.apply(&Request::default(), value)?;
        }
        Ok(axis)
    }
}

/// The numbers of `1-8` or `10-30/5`: first, last, and the step between them.
fn range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, by) = value.trim().split_once('/').unwrap_or((value.trim(), "1"));
    let (first, last) = range.split_once('-')?;
    let numbers = (first.parse().ok()?, last.parse().ok()?, by.parse().ok()?);
    (numbers.0 <= numbers.1 && numbers.2 > 0).then_some(numbers)
}

/// Copies one of the fields of a request, by its name.
macro_rules! copy_field {
    ($from:expr, $into:expr, $name:expr, [$($field:ident),+ $(,)?]) => {
        match $name {
            $(stringify!($field) => $into.$field = $from.$field,)+
            _ => return Err(format!(
                "there is no setting “{}”, expected replace or one of {}",
                $name,
                [$(stringify!($field)),+].join(", ").replace('_', "-"),
            )),
        }
    };
}

impl Axis {
    /// `request` with a value of the setting.
    fn apply(&self, request: &Request, value: &str) -> std::result::Result<Request, String> {
        let mut changed = request.clone();
        if self.setting == REPLACE {
            let replace = |text: &str| text.replace(&self.values[0], value);
            changed.prompt = replace(&request.prompt);
            changed.negative_prompt = replace(&request.negative_prompt);
            return Ok(changed);
        }
        let is_text = ["prompt", "negative_prompt", "seed"].contains(&&self.setting[..]);
        let json = match serde_json::from_str::<Value>(value) {
            Ok(json) if !is_text && !json.is_string() => json,
            _ => value.into(),
        };
        let fields = Map::from_iter([(self.setting.clone(), json)]);
        let read = Request::from_json(&Value::Object(fields).to_string());
        let name = &self.setting[..];
        // An unknown name gets the list of all.
        let given = read.as_ref().cloned().unwrap_or_default();
        copy_field!(
            given,
            changed,
            name,
            [
                prompt,
                negative_prompt,
                seed,
                steps,
                guidance_scale,
                negative_strength,
                negative_window,
                negative_outside,
                guidance_window,
                guidance_schedule,
                guidance_min_sigma,
                guidance_stop,
                guidance_kind,
                sampler,
                schedule,
                timestep_spacing,
                zero_snr,
                final_sigma,
                width,
                height,
                rng,
                long_prompt,
                prompt_syntax,
                emphasis,
                clip_skip,
                vae_tiling,
            ]
        );
        read.map(|_| changed)
            .map_err(|e| format!("{}: {e}", self.label(value)))
    }

    /// The label of a value.
    fn label(&self, value: &str) -> String {
        match &self.setting[..] {
            REPLACE => value.into(),
            setting => format!("{}: {value}", setting.replace('_', " ")),
        }
    }
}

/// Makes the pictures of the grid and writes them as one.
///
/// # Errors
/// [`Error::Request`] for a text to replace that is in neither prompt; those of the engine and of
/// the output.
pub async fn grid(args: &Generate, grid: &GridArg) -> Result<()> {
    check_replaced(args, grid)?;
    let outputs = Outputs::check(&args.out, None, args.json)?;
    let bar = Rc::new(ProgressBar::default());
    let Loaded { pipeline, .. } = load(args, &bar).await?;
    let base = args.request(&pipeline.info()?);
    let impossible = |e: String| Error::request("grid", e, "settings that a picture can have");
    let rows = grid
        .y
        .as_ref()
        .map_or(vec![None], |y| y.values.iter().map(Some).collect());
    let mut series = Series::new(&pipeline, &bar, grid.pictures());
    // Settings can meet twice, such as a text that is replaced by itself.
    let mut made: HashMap<String, Picture> = HashMap::new();
    let mut cells = Vec::new();
    for row in &rows {
        let request = match (&grid.y, row) {
            (Some(y), Some(value)) => y.apply(&base, value).map_err(impossible)?,
            _ => base.clone(),
        };
        let mut pictures = Vec::new();
        for value in &grid.x.values {
            let request = grid.x.apply(&request, value).map_err(impossible)?;
            let key = format!("{request:?}");
            if made.contains_key(&key) {
                series.count();
            } else {
                made.insert(key.clone(), series.make(&request).await?);
            }
            pictures.push(made[&key].clone());
        }
        cells.push(pictures);
    }
    bar.end();
    let labels = |axis: &Axis| {
        axis.values
            .iter()
            .map(|v| axis.label(v))
            .collect::<Vec<_>>()
    };
    let picture = draw(
        &cells,
        &labels(&grid.x),
        &grid.y.as_ref().map_or_else(Vec::new, labels),
    );
    let text = settings(&base, grid);
    let out = &outputs.picture;
    out.write(&png_with_text(&picture, "parameters", &text, out.shown())?)?;
    let shown = printable(out.shown());
    eprintln!(
        "{shown}: {} pictures, {}×{}",
        grid.pictures(),
        picture.width,
        picture.height
    );
    if args.json {
        let report = json!({
            "out": args.out,
            "width": picture.width,
            "height": picture.height,
            "pictures": grid.pictures(),
            "made": made.len(),
            "text": text,
        });
        println!("{report}");
    }
    Ok(())
}

/// Checks that a text to replace is in one of the prompts.
fn check_replaced(args: &Generate, grid: &GridArg) -> Result<()> {
    for axis in [Some(&grid.x), grid.y.as_ref()].into_iter().flatten() {
        let found = |prompt: &String| prompt.contains(&axis.values[0]);
        if axis.setting == REPLACE && ![&args.prompt, &args.negative_prompt].into_iter().any(found)
        {
            let expected = "a text that is in a prompt";
            return Err(Error::request("grid", &axis.values[0], expected));
        }
    }
    Ok(())
}

/// The settings as a text for the PNG, in the form that A1111's web UI writes.
fn settings(base: &Request, grid: &GridArg) -> String {
    let mut text = base.prompt.clone();
    if !base.negative_prompt.is_empty() {
        text += &format!("\nNegative prompt: {}", base.negative_prompt);
    }
    text += &format!("\nSteps: {}", base.steps);
    if let Some(sampler) = base.sampler {
        text += &format!(", Sampler: {sampler}");
    }
    text += &format!(", CFG scale: {}, Seed: {}", base.guidance_scale, base.seed);
    if let (Some(width), Some(height)) = (base.width, base.height) {
        text += &format!(", Size: {width}x{height}");
    }
    text += ", Script: X/Y/Z plot";
    for (name, axis) in [("X", Some(&grid.x)), ("Y", grid.y.as_ref())] {
        if let Some(axis) = axis {
            let values = json!(axis.values.join(", "));
            text += &format!(", {name} Type: {}, {name} Values: {values}", axis.setting);
        }
    }
    text + ", RNG: CPU, Version: Darkroom"
}

/// Pictures in rows and columns, with labels above and at the left.
fn draw(cells: &[Vec<Picture>], columns: &[String], rows: &[String]) -> Picture {
    let widest = cells
        .iter()
        .flatten()
        .map(|cell| cell.width)
        .max()
        .unwrap_or(1);
    let highest = cells
        .iter()
        .flatten()
        .map(|cell| cell.height)
        .max()
        .unwrap_or(1);
    let scale = if widest >= 256 { 2 } else { 1 };
    let (letter, gap) = (LETTER * scale, 4 * scale);
    let longest = rows
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap_or(0);
    // A long label takes as much room as a picture, in several lines.
    let left = match longest {
        0 => gap,
        longest => (longest * letter).min(widest.max(8 * letter)) + 2 * gap,
    };
    let lines: Vec<Vec<String>> = columns
        .iter()
        .map(|c| wrapped(c, widest / letter))
        .collect();
    let top = lines.iter().map(Vec::len).max().unwrap_or(0) * (letter + gap) + gap;
    let mut picture = blank(
        left + columns.len() * (widest + gap),
        top + cells.len() * (highest + gap),
    );
    for (column, lines) in lines.iter().enumerate() {
        for (line, text) in lines.iter().enumerate() {
            let x = left + column * (widest + gap);
            write(&mut picture, text, x, gap + line * (letter + gap), scale);
        }
    }
    for (row, cells) in cells.iter().enumerate() {
        let y = top + row * (highest + gap);
        let label = rows
            .get(row)
            .map_or(Vec::new(), |l| wrapped(l, (left - 2 * gap) / letter));
        for (line, text) in label.iter().enumerate() {
            write(&mut picture, text, gap, y + line * (letter + gap), scale);
        }
        for (column, cell) in cells.iter().enumerate() {
            place(&mut picture, cell, left + column * (widest + gap), y);
        }
    }
    picture
}

/// `text` in lines of at most so many letters.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let letters = letters.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let word: Vec<char> = word.chars().collect();
        for part in word.chunks(letters) {
            let line = lines.last_mut().expect("a line");
            let length = line.chars().count();
            let part: String = part.iter().collect();
            if length == 0 {
                line.push_str(&part);
            } else if length + 1 + part.chars().count() <= letters {
                line.push(' ');
                line.push_str(&part);
            } else {
                lines.push(part);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(text: &str) -> Axis {
        text.parse().expect("an axis")
    }

    #[test]
    fn settings_have_names_values_and_ranges() {
        let grid: GridArg = "X=guidance:1|7.5,Y=seed:1-3".parse().expect("a grid");
        assert_eq!(grid.pictures(), 6);
        assert_eq!(grid.x.setting, "guidance_scale");
        assert_eq!(axis("steps:10-30/10|50").values, ["10", "20", "30", "50"]);
        assert_eq!(axis("replace:a-1|b").values, ["a-1", "b"]);
        let applied = axis("sampler:euler|ddim").apply(&Request::default(), "ddim");
        assert!(applied.expect("a request").sampler.is_some());
        let applied = axis("zero-snr:true").apply(&Request::default(), "true");
        assert_eq!(applied.expect("a request").zero_snr, Some(true));
    }

    #[test]
    fn replacement_reaches_both_prompts() {
        let request = Request {
            prompt: "a man, bald".into(),
            negative_prompt: "mann".into(),
            ..Request::default()
        };
        let changed = axis("replace:man|woman")
            .apply(&request, "woman")
            .expect("a request");
        assert_eq!(changed.prompt, "a woman, bald");
        assert_eq!(changed.negative_prompt, "womann");
    }

    #[test]
    fn mistakes_say_what_was_expected() {
        let error = |text: &str| text.parse::<GridArg>().expect_err(text);
        assert!(error("Y=seed:1").contains("X=SETTING"));
        assert!(error("X=seed").contains("no values"));
        assert!(error("X=colour:red").contains("negative-prompt"));
        assert!(error("X=steps:many").contains("steps"));
        assert!(error("X=sampler:oiler").contains("oiler"));
        assert!(error("X=seed:1-5000").contains("5000"));
        assert!(error("X=seed:1-100,Y=steps:1-50").contains("at most 1000"));
    }

    #[test]
    fn labels_are_wrapped_and_pictures_placed() {
        assert_eq!(wrapped("a man with a hat", 6), ["a man", "with a", "hat"]);
        assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
        let cell = |value| Picture {
            width: 40,
            height: 20,
            rgba: vec![value; 40 * 20 * 4],
        };
        let cells = [vec![cell(10), cell(20)], vec![cell(30), cell(40)]];
        let labels = ["a", "b"].map(String::from);
        let picture = draw(&cells, &labels, &labels);
        for value in [10, 20, 30, 40] {
            let count = picture
                .rgba
                .chunks(4)
                .filter(|p| p[..3] == [value; 3])
                .count();
            assert_eq!(count, 40 * 20, "pixels of {value}");
        }
    }
}
