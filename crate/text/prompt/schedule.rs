//! Prompts that change from step to step: `[from:to:when]` and `[a|b]`.
//!
//! Equal to `get_learned_conditioning_prompt_schedules` of the web UI (without a second pass), with
//! two differences. First, the web UI's grammar is ambiguous where a prompt has brackets without a
//! partner beside brackets of the language. Its parser then takes one of the possible readings, at
//! random from run to run; here every bracket that can be one of the language is. Second, at a
//! `when` too large for any number the web UI fails; here it is beyond the last step.
//!
//! A bracket belongs to the language if all within it does. A colon, a `|` or a bracket that has no
//! place in it makes it, and all brackets around it, plain signs. A `|` that is then outside all
//! brackets, or a backslash before nothing, makes the whole prompt plain.

use std::collections::BTreeSet;
use std::ops::Range;

use super::characters::is_space;
use super::problem::{Problem, ProblemKind};
use super::spliced::Spliced;

/// A text that is in force up to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The last step, counted from 1.
    pub last_step: usize,
    /// The text.
    pub text: Spliced,
}

/// A prompt with its schedule, for any number of steps.
#[derive(Debug, Clone)]
pub struct Schedule<'a> {
    prompt: &'a str,
    nodes: Vec<Node>,
    problem: Option<Problem>,
}

/// A bracket of the schedule, and what it chooses from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Bytes of the prompt, brackets included.
    pub span: Range<usize>,
    /// Bytes of each text: those before and after the change, or those that alternate.
    pub choices: Vec<Range<usize>>,
    /// The last step of the first text, 0 if there is none; `None` where the texts alternate.
    pub last_step: Option<usize>,
}

/// A piece of the prompt. The content of a bracket follows it in the list.
#[derive(Debug, Clone)]
struct Node {
    /// Bytes of the prompt.
    span: Range<usize>,
    kind: Kind,
}

/// Indices into the list of nodes.
type Nodes = Range<usize>;

#[derive(Debug, Clone)]
enum Kind {
    Text,
    Edit {
        when: When,
        from: Nodes,
        to: Nodes,
        end: usize,
    },
    Alternation {
        choices: Vec<Nodes>,
        end: usize,
    },
}

/// The time of a change: a step or, where the number has a point, a share of the steps.
#[derive(Debug, Clone, Copy)]
enum When {
    Step(f64),
    Share(f64),
}

impl When {
    /// The last step before the change, 0 if there is none.
    fn last_step(self, steps: usize) -> usize {
        let step = match self {
            When::Step(step) => step,
            When::Share(share) => share * steps as f64,
        };
        // The conversion cuts off the fraction and holds what is below 0 at 0.
        (step as usize).min(steps)
    }
}

impl<'a> Schedule<'a> {
    /// Reads the schedule of `prompt`.
    pub fn parse(prompt: &'a str) -> Self {
        let mut parser = Parser {
            prompt,
            nodes: Vec::new(),
            open: Vec::new(),
            misplaced: None,
        };
        parser.parse();
        let scheduled = |node: &Node| !matches!(node.kind, Kind::Text);
        let Some(misplaced) = parser.misplaced else {
            return Schedule {
                prompt,
                nodes: parser.nodes,
                problem: None,
            };
        };
        let problem = parser.nodes.iter().any(scheduled).then_some(Problem {
            span: misplaced..misplaced + 1,
            kind: ProblemKind::ScheduleOff,
        });
        let whole = Node {
            span: 0..prompt.len(),
            kind: Kind::Text,
        };
        Schedule {
            prompt,
            nodes: vec![whole],
            problem,
        }
    }

    /// The sign that turns the schedules of this prompt off, where there are any.
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Bytes of the prompt that belong to a schedule, brackets included, outer before inner.
    pub fn spans(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let scheduled = self
            .nodes
            .iter()
            .filter(|node| !matches!(node.kind, Kind::Text));
        scheduled.map(|node| node.span.clone())
    }

    /// The brackets that belong to the schedule of `steps` steps, outer before inner.
    pub fn changes(&self, steps: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let bytes = |nodes: &Nodes| self.bytes(index, nodes);
            let (choices, last_step) = match &node.kind {
                Kind::Text => continue,
                Kind::Edit { when, from, to, .. } => {
                    let choices = vec![bytes(from), bytes(to)];
                    (choices, Some(when.last_step(steps)))
                }
                Kind::Alternation { choices, .. } => (choices.iter().map(bytes).collect(), None),
            };
            changes.push(Change {
                span: node.span.clone(),
                choices,
                last_step,
            });
        }
        changes
    }

    /// Bytes of the nodes `content` in the bracket of node `bracket`: those between two signs.
    fn bytes(&self, bracket: usize, content: &Nodes) -> Range<usize> {
        let begun = self.nodes[bracket].span.start + 1;
        let start = match content.start {
            // The text before the change is left out: `[to:when]`.
            0 => return begun..begun,
            first if first == bracket + 1 => begun,
            first => self.nodes[first - 1].span.end,
        };
        start..self.nodes[content.end].span.start
    }

    /// The texts in force over `steps` steps, in order. The last one's `last_step` is `steps`.
    pub fn stages(&self, steps: usize) -> Vec<Stage> {
        let mut last_steps = BTreeSet::from([steps]);
        let mut alternates = false;
        for node in &self.nodes {
            match node.kind {
                Kind::Text => {}
                Kind::Edit { when, .. } => {
                    last_steps.extend(Some(when.last_step(steps)).filter(|&step| step > 0));
                }
                Kind::Alternation { .. } => alternates = true,
            }
        }
        if alternates {
            last_steps.extend(1..=steps);
        }
        let stage = |last_step| Stage {
            last_step,
            text: self.text_at(last_step, steps),
        };
        last_steps.into_iter().map(stage).collect()
    }

    /// The text in force at `step`, counted from 1.
    fn text_at(&self, step: usize, steps: usize) -> Spliced {
        let mut text = Spliced::default();
        let mut rest = Vec::from([Nodes::from(0..self.nodes.len())]);
        while let Some(Nodes { start, end }) = rest.pop() {
            if start == end {
                continue;
            }
            let node = &self.nodes[start];
            let (part, next) = match &node.kind {
                Kind::Text => {
                    text.push(self.prompt, node.span.clone());
                    (0..0, start + 1)
                }
                Kind::Edit {
                    when,
                    from,
                    to,
                    end,
                } => {
                    let changed = step > when.last_step(steps);
                    (if changed { to } else { from }.clone(), *end)
                }
                Kind::Alternation { choices, end } => {
                    let turn = (step + choices.len() - 1) % choices.len();
                    (choices[turn].clone(), *end)
                }
            };
            rest.push(next..end);
            rest.push(part);
        }
        text
    }
}

/// A bracket without its end so far.
struct Open {
    node: usize,
    round: bool,
    colons: Vec<usize>,
    bars: Vec<usize>,
}

struct Parser<'a> {
    prompt: &'a str,
    nodes: Vec<Node>,
    open: Vec<Open>,
    /// Byte of a sign that makes the whole prompt plain.
    misplaced: Option<usize>,
}

impl Parser<'_> {
    fn parse(&mut self) {
        let bytes = self.prompt.as_bytes();
        let (mut at, mut begun) = (0, 0);
        while at < bytes.len() {
            match bytes[at] {
                b'\\' => {
                    if matches!(bytes.get(at + 1), None | Some(b'\n')) {
                        self.misplaced.get_or_insert(at);
                    }
                    at += 2;
                    continue;
                }
                b'[' | b']' | b'(' | b')' | b':' | b'|' => {}
                _ => {
                    at += 1;
                    continue;
                }
            }
            self.text(begun..at);
            self.sign(at);
            at += 1;
            begun = at;
        }
        self.text(begun..bytes.len());
        self.give_up();
    }

    fn text(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            let kind = Kind::Text;
            self.nodes.push(Node { span, kind });
        }
    }

    /// One of the language's signs. It is text until a closing bracket shows that it is not.
    fn sign(&mut self, at: usize) {
        let node = self.nodes.len();
        self.text(at..at + 1);
        let sign = self.prompt.as_bytes()[at];
        match (sign, self.open.last_mut()) {
            (b'(' | b'[', _) => self.open.push(Open {
                node,
                round: sign == b'(',
                colons: Vec::new(),
                bars: Vec::new(),
            }),
            (b':', Some(open)) => open.colons.push(node),
            (b'|', Some(open)) => open.bars.push(node),
            (b'|', None) => {
                self.misplaced.get_or_insert(at);
            }
            (b')' | b']', Some(open)) => {
                let fits = open.round == (sign == b')');
                if !(fits && self.close(node, at)) {
                    self.give_up();
                }
            }
            _ => {}
        }
    }

    /// Ends the innermost bracket at the sign of node `close`, which is byte `at`. False if the
    /// bracket does not belong to the language.
    fn close(&mut self, close: usize, at: usize) -> bool {
        let Some(open) = self.open.pop() else {
            return false;
        };
        let (first, end) = (open.node, close + 1);
        let kind = match (&open.colons[..], &open.bars[..]) {
            ([] | [_], []) if open.round => Some(Kind::Text),
            ([], []) => Some(Kind::Text),
            ([], bars) if !open.round => {
                let starts = [first].into_iter().chain(bars.iter().copied());
                let ends = bars.iter().copied().chain([close]);
                let choices = starts
                    .zip(ends)
                    .map(|(start, end)| start + 1..end)
                    .collect();
                Some(Kind::Alternation { choices, end })
            }
            (&[.., last], []) if !open.round && open.colons.len() <= 2 => {
                let (from, to) = match open.colons[..] {
                    [middle, _] => (first + 1..middle, middle + 1..last),
                    _ => (0..0, first + 1..last),
                };
                let number = &self.prompt[self.nodes[last].span.end..at];
                when(number).map(|when| Kind::Edit {
                    when,
                    from,
                    to,
                    end,
                })
            }
            _ => None,
        };
        match kind {
            Some(Kind::Text) => true,
            Some(kind) => {
                let node = &mut self.nodes[first];
                node.span.end = at + 1;
                node.kind = kind;
                true
            }
            None => {
                self.open.push(open);
                false
            }
        }
    }

    /// Makes all open brackets plain signs: one within them does not belong to the language.
    fn give_up(&mut self) {
        let bar = self.open.iter().find_map(|open| open.bars.first());
        if let Some(&bar) = bar {
            self.misplaced.get_or_insert(self.nodes[bar].span.start);
        }
        self.open.clear();
    }
}

/// `when`, with white space around it.
fn when(text: &str) -> Option<When> {
    let number = text.trim_matches(is_space);
    let unsigned = number.strip_prefix(['+', '-']).unwrap_or(number);
    // Rust's numbers have names too: inf, nan.
    let starts = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value = number.parse().ok().filter(|_| starts)?;
    Some(match number.contains('.') {
        true => When::Share(value),
        false => When::Step(value),
    })
}
