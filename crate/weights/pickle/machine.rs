//! The stack machine of pickle, without the power to call anything.
//!
//! Values are nodes of one list and refer to each other by index, so that a value that contains
//! itself neither leaks nor recurses.

use super::Element;
use crate::weights::safetensors::Dtype;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// `None`, a truth value, a float, bytes: nothing that tensors are made of.
    Other,
    Int(i64),
    Text(String),
    /// A tuple or a list.
    Sequence(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    /// A name that may be asked for.
    Global(Global),
    /// A storage, and the node of its key.
    Storage {
        element: Element,
        key: usize,
    },
    Tensor(Box<TensorNode>),
    /// Another node: the state of a dictionary.
    Same(usize),
}

/// A tensor by its place in a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorNode {
    pub element: Element,
    /// Node of the storage's key.
    pub storage: usize,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl TensorNode {
    /// True if the elements lie one after the other.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1usize;
        let dims = self.shape.iter().zip(&self.strides).rev();
        self.shape.len() == self.strides.len()
            && dims.into_iter().all(|(&n, &stride)| {
                let fits = n <= 1 || stride == expected;
                expected = expected.saturating_mul(n.max(1));
                fits
            })
    }
}

/// The names that may be asked for. None of them is code here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    /// A dictionary of some kind.
    Dict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
    /// A collection made of its first argument.
    Collection,
}

fn global(module: &str, name: &str) -> Option<Global> {
    Some(match (module, name) {
        ("collections", "OrderedDict")
        | ("torch.nn.modules.container", "ParameterDict")
        | ("__builtin__" | "builtins", "dict") => Global::Dict,
        ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("torch", "Size") | ("__builtin__" | "builtins", "set") => Global::Collection,
        ("torch", "FloatStorage") => Global::Storage(Element::Float(Dtype::F32)),
        ("torch", "HalfStorage") => Global::Storage(Element::Float(Dtype::F16)),
        ("torch", "BFloat16Storage") => Global::Storage(Element::Float(Dtype::Bf16)),
        ("torch", "DoubleStorage") => Global::Storage(Element::Double),
        ("torch", "LongStorage") => Global::Storage(Element::Other(8)),
        ("torch", "IntStorage") => Global::Storage(Element::Other(4)),
        ("torch", "ShortStorage") => Global::Storage(Element::Other(2)),
        ("torch", "CharStorage" | "ByteStorage" | "BoolStorage") => {
            Global::Storage(Element::Other(1))
        }
        _ => return None,
    })
}

/// A program that ran to its end.
pub(super) struct Program {
    nodes: Vec<Node>,
    root: usize,
}

impl Program {
    pub fn node(&self, index: usize) -> &Node {
        let mut node = self.nodes.get(index);
        for _ in 0..MAX_HOPS {
            match node {
                Some(Node::Same(other)) => node = self.nodes.get(*other),
                _ => break,
            }
        }
        node.unwrap_or(&Node::Other)
    }

    pub fn root(&self) -> usize {
        self.root
    }

    /// The texts in the list that the program made.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let items = match self.node(self.root) {
            Node::Sequence(items) => &items[..],
            _ => &[],
        };
        items.iter().filter_map(|&item| match self.node(item) {
            Node::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Bytes of an element of the storage `key`.
    pub fn element_size(&self, key: &str) -> Option<usize> {
        self.nodes.iter().find_map(|node| match node {
            Node::Storage { element, key: own } => match self.node(*own) {
                Node::Text(own) if own == key => Some(element.size()),
                _ => None,
            },
            _ => None,
        })
    }

    /// Runs the program at the start of `bytes`. Returns the number of its bytes beside it.
    ///
    /// # Errors
    /// The fault of the program, or what it asked for.
    pub fn run(bytes: &[u8]) -> Result<(Self, usize), String> {
        let mut machine = Machine {
            bytes,
            at: 0,
            nodes: vec![Node::Other],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
        };
        loop {
            let code = machine.byte()?;
            if code == b'.' {
                let root = machine.pop()?;
                let length = machine.at;
                let nodes = machine.nodes;
                return Ok((Program { nodes, root }, length));
            }
            machine.step(code)?;
        }
    }
}

/// Longest chain of nodes that stand for others. A node may stand for itself.
const MAX_HOPS: usize = 4;
/// Index of [`Node::Other`], which needs no node of its own.
const OTHER: usize = 0;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<usize>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<usize>,
}

type Step<T = ()> = Result<T, String>;

impl Machine<'_> {
    fn step(&mut self, code: u8) -> Step {
        match code {
            // Protocol and frames.
            0x80 => self.take(1).map(drop),
            0x95 => self.take(8).map(drop),
            b'N' | 0x88 | 0x89 => self.push_index(OTHER),
            b'G' => {
                self.take(8)?;
                self.push_index(OTHER)
            }
            b'J' | b'K' | b'M' | 0x8a => self.int(code),
            b'X' | 0x8c | b'U' | b'T' => {
                let length = self.length(if code == 0x8c || code == b'U' { 1 } else { 4 })?;
                let text = String::from_utf8_lossy(self.take(length)?).into_owned();
                self.push(Node::Text(text))
            }
            b'B' | b'C' => {
                let length = self.length(if code == b'C' { 1 } else { 4 })?;
                self.take(length)?;
                self.push_index(OTHER)
            }
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_marked().map(drop),
            b'2' => {
                let top = self.top()?;
                self.push_index(top)
            }
            b']' | b')' => self.push(Node::Sequence(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b't' | b'l' => {
                let items = self.pop_marked()?;
                self.push(Node::Sequence(items))
            }
            0x85..=0x87 => {
                let items = self.pop_last(usize::from(code - 0x84))?;
                self.push(Node::Sequence(items))
            }
            b'a' | b'e' | b's' | b'u' | b'd' => self.collect(code),
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memo(code),
            b'c' | 0x93 => self.global(code),
            b'Q' => self.persistent(),
            b'R' | 0x81 => self.reduce(),
            b'b' => self.build(),
            _ => Err(format!(
                "the pickle has the instruction 0x{code:02x}, which no tensor needs; nothing was \
                 run"
            )),
        }
    }

    fn byte(&mut self) -> Step<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: usize) -> Step<&[u8]> {
        let end = self.at.checked_add(count);
        let bytes = end.and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or("the pickle ends too early")?;
        self.at += count;
        Ok(bytes)
    }

    /// A length of so many bytes.
    fn length(&mut self, width: usize) -> Step<usize> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "a length is impossible".into())
    }

    /// Text up to the end of the line.
    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .iter()
            .position(|&b| b == b'\n')
            .ok_or("the pickle ends too early")?;
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn push(&mut self, node: Node) -> Step {
        self.nodes.push(node);
        self.push_index(self.nodes.len() - 1)
    }

    fn push_index(&mut self, index: usize) -> Step {
        self.stack.push(index);
        Ok(())
    }

    /// Height of the stack below which the last mark forbids to go.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<usize> {
        let top = (self.stack.len() > self.floor()).then(|| self.stack.last().copied());
        top.flatten()
            .ok_or_else(|| "the pickle takes from an empty stack".into())
    }

    fn pop(&mut self) -> Step<usize> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_last(&mut self, count: usize) -> Step<Vec<usize>> {
        let start = self.stack.len().checked_sub(count);
        let start = start.filter(|&start| start >= self.floor());
        let start = start.ok_or("the pickle takes from an empty stack")?;
        Ok(self.stack.split_off(start))
    }

    fn pop_marked(&mut self) -> Step<Vec<usize>> {
        let mark = self
            .marks
            .pop()
            .ok_or("the pickle takes from an empty stack")?;
        Ok(self.stack.split_off(mark))
    }

    fn int(&mut self, code: u8) -> Step {
        let value = match code {
            b'J' => {
                let mut bytes = [0; 4];
                bytes.copy_from_slice(self.take(4)?);
                i64::from(i32::from_le_bytes(bytes))
            }
            b'K' => self.length(1)? as i64,
            b'M' => self.length(2)? as i64,
            _ => {
                let length = self.length(1)?;
                let bytes = self.take(length)?;
                if length > 8 {
                    return self.push_index(OTHER);
                }
                let sign = bytes.last().is_some_and(|last| last & 0x80 != 0);
                let mut wide = [if sign { 0xff } else { 0 }; 8];
                wide[..length].copy_from_slice(bytes);
                i64::from_le_bytes(wide)
            }
        };
        self.push(Node::Int(value))
    }

    /// Adds items to the list or dictionary below them.
    fn collect(&mut self, code: u8) -> Step {
        if code == b'd' {
            let items = self.pop_marked()?;
            return self.push(Node::Dict(pairs(&items)));
        }
        let items = match code {
            b'a' => self.pop_last(1)?,
            b's' => self.pop_last(2)?,
            _ => self.pop_marked()?,
        };
        let target = self.top()?;
        match (&mut self.nodes[target], code) {
            (Node::Sequence(list), b'a' | b'e') => list.extend(items),
            (Node::Dict(dict), b's' | b'u') => dict.extend(pairs(&items)),
            _ => return Err("the pickle adds to what is no list or dictionary".into()),
        }
        Ok(())
    }

    fn memo(&mut self, code: u8) -> Step {
        let put = matches!(code, b'q' | b'r' | 0x94);
        let index = match code {
            b'q' | b'h' => self.length(1)?,
            b'r' | b'j' => self.length(4)?,
            _ => self.memo.len(),
        };
        if !put {
            let value = self.memo.get(index).copied();
            return self.push_index(value.ok_or("the pickle reads a memo that it has not set")?);
        }
        // Programs number their memos one by one; optimized ones leave out those without use.
        if index > self.at {
            return Err("the pickle sets a memo far beyond the others".into());
        }
        let top = self.top()?;
        if index > self.memo.len() {
            self.memo.resize(index, OTHER);
        }
        match self.memo.get_mut(index) {
            Some(memo) => *memo = top,
            None => self.memo.push(top),
        }
        Ok(())
    }

    fn global(&mut self, code: u8) -> Step {
        let (module, name) = match code {
            b'c' => (self.line()?, self.line()?),
            _ => {
                let names = self.pop_last(2)?;
                match [&self.nodes[names[0]], &self.nodes[names[1]]] {
                    [Node::Text(module), Node::Text(name)] => (module.clone(), name.clone()),
                    _ => return Err("the pickle asks for something without a name".into()),
                }
            }
        };
        match global(&module, &name) {
            Some(global) => self.push(Node::Global(global)),
            None => Err(format!(
                "the pickle asks for {module}.{name}, which builds no tensor; nothing was run"
            )),
        }
    }

    /// A reference to a storage: `("storage", type, key, location, elements)`.
    fn persistent(&mut self) -> Step {
        let id = self.pop()?;
        let storage = match &self.nodes[id] {
            Node::Sequence(parts) => self.storage(parts),
            _ => None,
        };
        self.push(storage.ok_or("the pickle refers to something that is no storage")?)
    }

    fn storage(&self, parts: &[usize]) -> Option<Node> {
        let [kind, element, key, ..] = *parts else {
            return None;
        };
        let named = matches!(&self.nodes[kind], Node::Text(kind) if kind == "storage");
        let keyed = matches!(self.nodes[key], Node::Text(_));
        match self.nodes[element] {
            Node::Global(Global::Storage(element)) if named && keyed => {
                Some(Node::Storage { element, key })
            }
            _ => None,
        }
    }

    /// The calls that build tensors and dictionaries.
    fn reduce(&mut self) -> Step {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let Node::Sequence(arguments) = &self.nodes[arguments] else {
            return Err("the pickle calls something without arguments".into());
        };
        match &self.nodes[function] {
            Node::Global(Global::Dict) => self.push(Node::Dict(Vec::new())),
            Node::Global(Global::Collection | Global::RebuildParameter) => {
                let first = arguments.first().copied().unwrap_or(OTHER);
                self.push_index(first)
            }
            Node::Global(Global::RebuildTensor) => {
                let tensor = self.tensor(arguments);
                self.push(tensor.ok_or("the pickle builds a malformed tensor")?)
            }
            _ => Err("the pickle calls what is no function of tensors; nothing was run".into()),
        }
    }

    /// A tensor of `(storage, offset, shape, strides, …)`.
    fn tensor(&self, arguments: &[usize]) -> Option<Node> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return None;
        };
        let Node::Storage { element, key } = &self.nodes[*storage] else {
            return None;
        };
        let number = |index: usize| match self.nodes[index] {
            Node::Int(value) => usize::try_from(value).ok(),
            _ => None,
        };
        let numbers = |index: usize| match &self.nodes[index] {
            Node::Sequence(items) if items.len() <= 8 => items
                .iter()
                .map(|&item| number(item))
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        Some(Node::Tensor(Box::new(TensorNode {
            element: *element,
            storage: *key,
            offset: number(*offset)?,
            shape: numbers(*shape)?,
            strides: numbers(*strides)?,
        })))
    }

    /// Adds a state to a dictionary; the state of anything else is dropped.
    fn build(&mut self) -> Step {
        let state = self.pop()?;
        let target = self.top()?;
        let is_dict = matches!(self.nodes[state], Node::Dict(_)) && state != target;
        match &mut self.nodes[target] {
            Node::Dict(pairs) if pairs.is_empty() && is_dict => {
                self.nodes[target] = Node::Same(state);
            }
            _ => (),
        }
        Ok(())
    }
}

fn pairs(items: &[usize]) -> Vec<(usize, usize)> {
    items
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&[key, value]| (key, value))
        .collect()
}
