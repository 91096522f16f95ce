//! An interpreter for the part of Python's pickle format that `torch.save` writes. It builds plain data: no class is
//! looked up and nothing is called, whatever the file asks for.
//!
//! Values live in one flat list and refer to each other by index, so that neither deep nor circular nor shared values
//! of a hostile file cost more than its length. Opcodes: CPython's `Lib/pickletools.py`.

use std::collections::HashMap;

/// The most opcodes of a pickle. Each may take some sixty bytes of memory; a state dict has some forty for a tensor.
const MOST_STEPS: usize = 1 << 21;
/// The longest name of a class, in bytes. Two opcodes can repeat names that are there already.
const LONGEST_NAME: usize = 256;

/// Index of a value in a [`Pickle`].
pub(super) type Id = usize;

/// A value of the pickled program.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    /// None, booleans, floats, bytes: what no state dict needs.
    Other,
    Int(i128),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module` and `name` with a dot between.
    Global(String),
    /// What would be `callable(*arguments)`.
    Call {
        callable: Id,
        arguments: Id,
    },
    /// A reference to something outside the pickle, such as a storage.
    Persistent(Id),
}

/// One pickled object.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads the pickle at the start of `bytes` and moves them past its end.
    pub fn read(bytes: &mut &[u8]) -> Result<Self, String> {
        let mut machine = Machine::default();
        for _ in 0..MOST_STEPS {
            if let Some(root) = machine.step(bytes)? {
                return Ok(Self { values: machine.values, root });
            }
        }
        Err(format!("its pickle has more than {MOST_STEPS} values, more than any state dict"))
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// What the persistent ids are made of.
    pub fn persistent(&self) -> impl Iterator<Item = Id> {
        self.values.iter().filter_map(|value| if let Value::Persistent(id) = value { Some(*id) } else { None })
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        if let Value::Text(text) = self.get(id) { Some(text) } else { None }
    }

    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        if let Value::Tuple(items) = self.get(id) { Some(items) } else { None }
    }

    /// A non-negative integer.
    pub fn index(&self, id: Id) -> Option<usize> {
        if let Value::Int(value) = *self.get(id) { value.try_into().ok() } else { None }
    }
}

#[derive(Default)]
struct Machine {
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine {
    /// Runs one opcode; the root at the last one.
    fn step(&mut self, bytes: &mut &[u8]) -> Result<Option<Id>, String> {
        let opcode = u8::from_le_bytes(array(bytes)?);
        match opcode {
            // PROTO and FRAME: nothing to do but to skip their argument.
            0x80 => drop(take(bytes, 1)?),
            0x95 => drop(take(bytes, 8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            // POP; and BUILD, which sets attributes: of a state dict that is `_metadata`.
            b'0' | b'b' => drop(self.pop()?),
            // NONE, NEWTRUE, NEWFALSE, BINFLOAT
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => {
                take(bytes, 8)?;
                self.push(Value::Other);
            }
            // BININT, BININT1, BININT2, LONG1
            b'J' => self.push(Value::Int(i32::from_le_bytes(array(bytes)?).into())),
            b'K' => self.push(Value::Int(u8::from_le_bytes(array(bytes)?).into())),
            b'M' => self.push(Value::Int(u16::from_le_bytes(array(bytes)?).into())),
            0x8a => {
                let length = u8::from_le_bytes(array(bytes)?).into();
                let value = long(take(bytes, length)?);
                self.push(value);
            }
            // BINUNICODE, SHORT_BINUNICODE; BINSTRING, SHORT_BINSTRING (Python 2)
            b'X' | b'T' => self.text(bytes, |bytes| Ok(u32::from_le_bytes(array(bytes)?) as usize))?,
            0x8c | b'U' => self.text(bytes, |bytes| Ok(u8::from_le_bytes(array(bytes)?).into()))?,
            // BINBYTES, SHORT_BINBYTES
            b'B' | b'C' => {
                let length =
                    if opcode == b'B' { u32::from_le_bytes(array(bytes)?) } else { array::<1>(bytes)?[0].into() };
                take(bytes, length as usize)?;
                self.push(Value::Other);
            }
            // EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
            b')' => self.push(Value::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items));
            }
            // EMPTY_LIST, LIST, APPEND, APPENDS
            b']' => self.push(Value::List(Vec::new())),
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.extend_list(items)?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(items)?;
            }
            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.push(Value::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(pairs(&items)));
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.extend_dict(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (line(bytes)?, line(bytes)?);
                self.push(global(module, name)?);
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (&self.values[module], &self.values[name]) else {
                    return Err("a class without a name".into());
                };
                let value = global(module, name)?;
                self.push(value);
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                // The one class whose instances matter, and it starts empty.
                let ordered_dict = self.values[callable] == Value::Global("collections.OrderedDict".into());
                self.push(if ordered_dict { Value::Dict(Vec::new()) } else { Value::Call { callable, arguments } });
            }
            // BINPERSID
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => self.memoize(array::<1>(bytes)?[0].into())?,
            b'r' => self.memoize(u32::from_le_bytes(array(bytes)?))?,
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => self.recall(array::<1>(bytes)?[0].into())?,
            b'j' => self.recall(u32::from_le_bytes(array(bytes)?))?,
            _ => return Err(format!("pickle opcode {opcode:#04x} isn't one that torch.save writes")),
        }
        Ok(None)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// Height below which the values belong to an outer mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => Err("the pickle's stack is empty".into()),
        }
    }

    fn pop(&mut self) -> Result<Id, String> {
        Ok(self.pop_many(1)?[0])
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let start = self.marks.pop().ok_or("the pickle's stack has no mark")?;
        Ok(self.stack.split_off(start))
    }

    fn top(&mut self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| "the pickle's stack is empty".into())
    }

    fn text(&mut self, bytes: &mut &[u8], length: fn(&mut &[u8]) -> Result<usize, String>) -> Result<(), String> {
        let length = length(bytes)?;
        let text = str::from_utf8(take(bytes, length)?).map_err(|_| "a pickled text isn't UTF-8")?;
        self.push(Value::Text(text.to_owned()));
        Ok(())
    }

    /// Items given to an object of an unknown class are lost, here and below: it is no part of a state dict.
    fn extend_list(&mut self, items: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        if let Value::List(list) = &mut self.values[top] {
            list.extend(items);
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<(), String> {
        let top = self.top()?;
        if let Value::Dict(dict) = &mut self.values[top] {
            dict.extend(pairs(items));
        }
        Ok(())
    }

    fn memoize(&mut self, key: u32) -> Result<(), String> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let id = self.memo.get(&key).ok_or_else(|| format!("the pickle refers to a value {key} that it lacks"))?;
        self.stack.push(*id);
        Ok(())
    }
}

/// The first `count` bytes; `bytes` is moved past them.
pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (head, rest) = bytes.split_at_checked(count).ok_or("the file ends too early")?;
    *bytes = rest;
    Ok(head)
}

/// The first `N` bytes; `bytes` is moved past them.
pub(super) fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], String> {
    let (head, rest) = bytes.split_first_chunk().ok_or("the file ends too early")?;
    *bytes = rest;
    Ok(*head)
}

fn line<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, String> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or("the file ends too early")?;
    let line = take(bytes, end + 1)?;
    str::from_utf8(&line[..end]).map_err(|_| "a pickled class name isn't UTF-8".into())
}

fn global(module: &str, name: &str) -> Result<Value, String> {
    if module.len() + name.len() > LONGEST_NAME {
        return Err("the name of a pickled class is too long".into());
    }
    Ok(Value::Global(format!("{module}.{name}")))
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// A little-endian two's complement integer. Longer ones than any field of a state dict are of no interest.
fn long(bytes: &[u8]) -> Value {
    let Some(last) = bytes.last() else { return Value::Int(0) };
    if bytes.len() > 16 {
        return Value::Other;
    }
    let mut full = [if last & 0x80 == 0 { 0 } else { 0xff }; 16];
    full[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i128::from_le_bytes(full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Pickle, String> {
        Pickle::read(&mut bytes)
    }

    #[test]
    fn integers_of_every_width() {
        for (bytes, expected) in [
            (&b"\x80\x02K\x07."[..], 7),
            (b"M\x01\x02.", 0x201),
            (b"J\xfe\xff\xff\xff.", -2),
            (b"\x8a\x00.", 0),
            (b"\x8a\x02\x00\xff.", -256),
            (b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", 0x1950_a86a_20f9_469c_fc6c),
        ] {
            let pickle = read(bytes).unwrap();
            assert_eq!(pickle.get(pickle.root()), &Value::Int(expected));
        }
    }

    #[test]
    fn calls_are_data() {
        // os.system("x"): kept as a call that nobody makes.
        let pickle = read(b"cos\nsystem\n(X\x01\x00\x00\x00xtR.").unwrap();
        let Value::Call { callable, arguments } = pickle.get(pickle.root()) else { panic!("not a call") };
        assert_eq!(pickle.get(*callable), &Value::Global("os.system".into()));
        assert_eq!(pickle.text(pickle.tuple(*arguments).unwrap()[0]), Some("x"));
    }

    #[test]
    fn a_list_that_holds_itself_ends() {
        let pickle = read(b"]q\x00h\x00a.").unwrap();
        assert_eq!(pickle.get(pickle.root()), &Value::List(vec![pickle.root()]));
    }

    #[test]
    fn deep_values_are_read_and_dropped_without_recursion() {
        let mut bytes = b")".to_vec();
        bytes.extend(std::iter::repeat_n(0x85, 1_000_000));
        bytes.push(b'.');
        assert!(read(&bytes).is_ok());
    }

    #[test]
    fn more_values_than_a_state_dict_has_and_long_names_are_errors() {
        let mut bytes = vec![b')'; MOST_STEPS];
        bytes.push(b'.');
        assert!(read(&bytes).unwrap_err().contains("more than any state dict"));
        // Two texts, and the class that has both as its name, over and over.
        let text = [b"X\x00\x04\x00\x00".as_slice(), &[b'a'; 1024]].concat();
        let bytes = [&text[..], b"q\x00", b"h\x00\x93".as_slice()].concat();
        assert!(read(&bytes).unwrap_err().contains("too long"));
    }

    #[test]
    fn every_truncation_and_an_unbalanced_stack_are_errors() {
        let whole = b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00b(K\x02tu.";
        assert!(read(whole).is_ok());
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        for bytes in [&b"."[..], b"t.", b"(.", b"K\x01(0.", b"h\x00.", b"a.", b"\xff."] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
