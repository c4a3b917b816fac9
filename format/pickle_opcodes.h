// The numbers and names of pickle opcodes. Source: Python's pickletools.
#pragma once

#include <cstdint>
#include <string_view>

namespace galatea {

enum class PickleOp : std::uint8_t {
  mark = '(',
  stop = '.',
  pop = '0',
  pop_mark = '1',
  dup = '2',
  float_text = 'F',
  int_text = 'I',
  binint = 'J',
  binint1 = 'K',
  long_text = 'L',
  binint2 = 'M',
  none = 'N',
  persid = 'P',
  binpersid = 'Q',
  reduce = 'R',
  string = 'S',
  binstring = 'T',
  short_binstring = 'U',
  unicode = 'V',
  binunicode = 'X',
  append = 'a',
  build = 'b',
  global = 'c',
  dict = 'd',
  empty_dict = '}',
  appends = 'e',
  get = 'g',
  binget = 'h',
  inst = 'i',
  long_binget = 'j',
  list = 'l',
  empty_list = ']',
  obj = 'o',
  put = 'p',
  binput = 'q',
  long_binput = 'r',
  setitem = 's',
  tuple = 't',
  empty_tuple = ')',
  setitems = 'u',
  binfloat = 'G',
  proto = 0x80,
  newobj = 0x81,
  ext1 = 0x82,
  ext2 = 0x83,
  ext4 = 0x84,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  newtrue = 0x88,
  newfalse = 0x89,
  long1 = 0x8A,
  long4 = 0x8B,
  binbytes = 'B',
  short_binbytes = 'C',
  short_binunicode = 0x8C,
  binunicode8 = 0x8D,
  binbytes8 = 0x8E,
  empty_set = 0x8F,
  additems = 0x90,
  frozenset = 0x91,
  newobj_ex = 0x92,
  stack_global = 0x93,
  memoize = 0x94,
  frame = 0x95,
  bytearray8 = 0x96,
  next_buffer = 0x97,
  readonly_buffer = 0x98,
};

/// The name of an opcode that torch.save never writes with protocol 2 or later; empty for all others.
constexpr std::string_view foreign_opcode_name(PickleOp op) {
  switch (op) {
    case PickleOp::pop:
      return "POP";
    case PickleOp::pop_mark:
      return "POP_MARK";
    case PickleOp::dup:
      return "DUP";
    case PickleOp::float_text:
      return "FLOAT";
    case PickleOp::int_text:
      return "INT";
    case PickleOp::long_text:
      return "LONG";
    case PickleOp::persid:
      return "PERSID";
    case PickleOp::string:
      return "STRING";
    case PickleOp::binstring:
      return "BINSTRING";
    case PickleOp::short_binstring:
      return "SHORT_BINSTRING";
    case PickleOp::unicode:
      return "UNICODE";
    case PickleOp::dict:
      return "DICT";
    case PickleOp::get:
      return "GET";
    case PickleOp::inst:
      return "INST";
    case PickleOp::list:
      return "LIST";
    case PickleOp::obj:
      return "OBJ";
    case PickleOp::put:
      return "PUT";
    case PickleOp::ext1:
      return "EXT1";
    case PickleOp::ext2:
      return "EXT2";
    case PickleOp::ext4:
      return "EXT4";
    case PickleOp::newobj_ex:
      return "NEWOBJ_EX";
    case PickleOp::bytearray8:
      return "BYTEARRAY8";
    case PickleOp::next_buffer:
      return "NEXT_BUFFER";
    case PickleOp::readonly_buffer:
      return "READONLY_BUFFER";
    default:
      return {};
  }
}

}  // namespace galatea
