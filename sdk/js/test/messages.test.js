// What other clients of the family make of what we say, as each of them reads it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandBody, ownBody, readBody, textBody } from '../src/messages.js';
import { Room } from '../src/room.js';

const who = { userName: 'A}}da', userAvatar: 'https://h/{a}}}' };

/** Mini-programs of 2018 and 2019: all elements as one text, whose JSON they take to end at the first `}}`. */
function mini(body) {
  const content = body.map(({ MsgContent }) => MsgContent.Data ?? MsgContent.Text).join('');
  if (!content) return 'nothing';
  const [json, ...rest] = content.split('}}');
  const { cmd, data } = JSON.parse(`${json}}}`);
  return { cmd, of: data.cmd, name: data.nickName, text: rest.join('}}') };
}

/** Android's: an empty element is passed over, and `msg` must be a text. */
function android(body) {
  const [{ MsgContent }] = body;
  if (!MsgContent.Data) return 'nothing';
  const { data } = JSON.parse(MsgContent.Data);
  assert.equal(typeof data.msg, 'string');
  return data.msg;
}

const read = (body) => Room.prototype.read({ room: 'r', from: 'ada', time: 1, seq: 1, body });

test('old clients show nothing of the SDK’s own commands, and go on', () => {
  const msg = { mic: false, deep: { er: {} } };
  const body = ownBody('media', msg, who);
  assert.deepEqual([mini(body), android(body)], ['nothing', 'nothing']);
  const { cmd, msg: heard, userName } = read(body);
  assert.deepEqual([cmd, heard, userName], ['media', msg, 'A}}da']);
});

test('old clients read an app’s command, whatever is in it', () => {
  for (const msg of [
    { kind: { of: { rose: '}}' } } },
    [{ a: {} }],
    'plain',
    'a}}b}',
    '}',
    '\\}}',
    '{"a":1}',
    5,
    null,
    false,
  ]) {
    const body = commandBody('gi}}ft', msg, who);
    assert.deepEqual(mini(body), { cmd: 'CustomCmdMsg', of: 'gi}}ft', name: 'A}}da', text: '' });
    assert.equal(android(body), typeof msg === 'string' ? msg : JSON.stringify(msg));
    const heard = read(body);
    assert.deepEqual([heard.cmd, heard.msg], ['gi}}ft', msg]);
  }
});

test('old clients read a text, whatever its sender is called', () => {
  const body = textBody('hi }} there}}', who);
  assert.deepEqual(mini(body), { cmd: 'CustomTextMsg', of: undefined, name: 'A}}da', text: 'hi }} there}}' });
  assert.deepEqual([read(body).text, read(body).userName], ['hi }} there}}', 'A}}da']);
});

test('commands are read in every form that was ever sent', () => {
  const element = (Data, Ext) => [{ MsgType: 'TIMCustomElem', MsgContent: { Data, Desc: '', Ext } }];
  const command = (msg) => JSON.stringify({ cmd: 'CustomCmdMsg', data: { cmd: 'media', msg } });
  for (const body of [element(command({ mic: false }), ''), element('', command({ mic: false }))])
    assert.deepEqual(read(body).msg, { mic: false });
  const forged = JSON.stringify({ cmd: 'CustomCmdMsg', data: { cmd: 'media', msg: '{', json: '1' } });
  assert.equal(read(element(forged, '')).msg, '{');
  assert.equal(read(element(command('{"a":1}'), '')).msg, '{"a":1}', 'a native client’s text is a text');
  assert.deepEqual(readBody(element('', '')), { text: undefined, custom: null });
  // What others keep in `Ext` beside their data is theirs.
  assert.deepEqual(readBody(element('{"cmd":"a"}', '{"cmd":"b"}')).custom, { cmd: 'a' });
});
