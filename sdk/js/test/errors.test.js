import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, RoomError } from '../src/errors.js';
import { read } from '../src/session.js';

const answered = (answer) => {
  try {
    read({ status: 200, text: JSON.stringify(answer) });
  } catch (error) {
    return [error.code, error.key, error.message, error.english];
  }
  return null;
};

test('the protocol’s Chinese stays, with English and a name beside it', () => {
  assert.deepEqual(answered({ code: 5001, message: '超出房间人数上限' }), [
    5001,
    'FULL',
    '超出房间人数上限',
    'the room is full',
  ]);
  assert.equal(answered({ code: 1, message: '缺少参数: roomID' })[3], 'a parameter is missing or malformed (roomID)');
  assert.equal(answered({ code: 12, message: '已被禁止进入: 9 秒后解除' })[3], 'banned from this server or room');
  assert.deepEqual(answered({ code: 77, message: '别的' }).slice(1), ['77', '别的', 'error 77']);
});

test('what is English already is left as it is', () => {
  const error = new RoomError('muted', 'not before nine');
  assert.deepEqual([error.key, error.english], ['MUTED', 'not before nine']);
});

test('every number of the protocol has English words', () => {
  for (const code of Object.values(Code).filter((c) => typeof c === 'number'))
    assert.ok(!new RoomError(code, '错').english.startsWith('error'), String(code));
});
