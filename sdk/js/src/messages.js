// What clients of this family say to each other inside chat messages. The server passes it through unread.

/** A room's text with its sender's name, as all clients of the family send it. */
export function textBody(text, { userName, userAvatar }) {
  const data = { nickName: userName, headPic: userAvatar, userName, userAvatar };
  return [
    ...custom(toFirstEnd({ cmd: 'CustomTextMsg', data })),
    { MsgType: 'TIMTextElem', MsgContent: { Text: text } },
  ];
}

/** An app's command to a room: `msg` as a text, which Android's and iOS's clients take it for; marked, if we made it one. */
export function commandBody(cmd, msg, user) {
  const isText = typeof msg === 'string';
  const value = command(cmd, isText ? msg : JSON.stringify(msg), user);
  if (!isText) value.data.json = '1';
  return custom(toFirstEnd(value));
}

/** The `msg` of a command. */
export function messageOf({ msg, json }) {
  try {
    return json ? JSON.parse(msg) : msg;
  } catch {
    return msg;
  }
}

/** A command of this SDK's own: in `Ext`, of which clients without it show nothing. */
export function ownBody(cmd, msg, user) {
  return custom('', JSON.stringify(command(cmd, msg, user)));
}

function command(cmd, msg, { userName, userAvatar }) {
  return {
    cmd: 'CustomCmdMsg',
    data: { nickName: userName, headPic: userAvatar, userName, userAvatar, cmd: `${cmd}`, msg },
  };
}

/** JSON of what holds texts alone: mini-programs of 2018 read it to the first `}}`, and break for good where that is not its end. */
function toFirstEnd(value) {
  return JSON.stringify(value).replace(/}(?!}?$)/g, '\\u007d');
}

/** A command to one user. */
export function directBody(cmd, msg, { userName, userAvatar }) {
  return custom(JSON.stringify({ cmd, data: { userName, userAvatar, msg } }));
}

/** A step of co-anchoring. */
export function linkBody(data) {
  return custom(JSON.stringify({ cmd: 'linkmic', data: { timestamp: Date.now(), ...data } }));
}

/** A step of a PK between the anchors of two rooms. */
export function pkBody(data) {
  return custom(JSON.stringify({ cmd: 'pk', data: { timestamp: Date.now(), ...data } }));
}

function custom(Data, Ext = '') {
  return [{ MsgType: 'TIMCustomElem', MsgContent: { Data, Desc: '', Ext } }];
}

/** `{ text, custom }` of a body, whoever sent it. */
export function readBody(body) {
  let text;
  let command;
  for (const { MsgType, MsgContent } of Array.isArray(body) ? body : []) {
    if (MsgType === 'TIMTextElem') text = (text ?? '') + String(MsgContent?.Text ?? '');
    if (MsgType === 'TIMCustomElem') command ??= parseObject(MsgContent?.Data || MsgContent?.Ext);
  }
  return { text, custom: command };
}

/** An object in a JSON text; null for everything else. */
export function parseObject(text) {
  try {
    const value = typeof text === 'string' ? JSON.parse(text) : text;
    return value && typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}
