//! A Markdown table of modules and their permitted imports.

use std::collections::{BTreeMap, BTreeSet};

use super::PAGE;
use crate::Result;

pub struct Table {
    pub heading: String,
    /// Line of the heading.
    pub line: usize,
    /// Rows by module.
    pub rows: BTreeMap<String, Row>,
}

pub struct Row {
    pub line: usize,
    pub allowed: BTreeSet<String>,
}

impl Table {
    /// Reads the table below `heading`, with rows of the form "| `module` | `a`, `b` | purpose |".
    pub fn parse(page: &str, heading: &str) -> Result<Self> {
        let mut lines = (1..).zip(page.lines());
        let (line, _) = lines
            .find(|(_, line)| line.trim_end() == heading)
            .ok_or_else(|| format!("no heading {heading:?}"))?;
        let mut rows = BTreeMap::new();
        let section = lines.take_while(|(_, line)| !line.starts_with("## "));
        for (line, text) in section.filter(|(_, line)| line.starts_with('|')) {
            let mut cells = text.trim_matches('|').split('|');
            let (Some(module), Some(allowed)) = (cells.next(), cells.next()) else {
                return Err(format!("line {line}: the table needs two columns or more"));
            };
            // The header and the line below it name no module.
            let Some(module) = names(module).pop_first() else {
                continue;
            };
            let allowed = names(allowed);
            if rows.insert(module.clone(), Row { line, allowed }).is_some() {
                return Err(format!("line {line}: {module} has two rows in {PAGE}"));
            }
        }
        if rows.is_empty() {
            return Err(format!("no table below the heading {heading:?}"));
        }
        let heading = heading.trim_start_matches(['#', ' ']).to_owned();
        Ok(Self {
            heading,
            line,
            rows,
        })
    }

    pub fn allows(&self, from: &str, to: &str) -> bool {
        let row = self.rows.get(from);
        row.is_some_and(|row| row.allowed.contains(to))
    }

    /// Cycles of permitted imports, each once, with a line of the table.
    pub fn cycles(&self) -> Vec<(usize, String)> {
        let mut cycles = Vec::new();
        let mut finished = BTreeSet::new();
        for module in self.rows.keys() {
            self.walk(module, &mut Vec::new(), &mut finished, &mut cycles);
        }
        cycles
    }

    fn walk<'a>(
        &'a self,
        module: &'a str,
        path: &mut Vec<&'a str>,
        finished: &mut BTreeSet<&'a str>,
        cycles: &mut Vec<(usize, String)>,
    ) {
        if let Some(begin) = path.iter().position(|visited| *visited == module) {
            let cycle = [&path[begin..], &[module]].concat().join(" → ");
            cycles.push((self.rows[module].line, cycle));
            return;
        }
        let Some(row) = self.rows.get(module) else {
            return;
        };
        if finished.contains(module) {
            return;
        }
        path.push(module);
        for next in &row.allowed {
            self.walk(next, path, finished, cycles);
        }
        path.pop();
        finished.insert(module);
    }
}

/// The names between backticks, without a slash at their ends.
fn names(cell: &str) -> BTreeSet<String> {
    let names = cell.split('`').skip(1).step_by(2);
    names
        .map(|name| name.trim_end_matches('/').to_owned())
        .collect()
}
