// What clients of this family say to each other inside chat messages. The server passes it through unread.

/** A room's text with its sender's name, as all clients of the family send it. */
export function textBody(text, { userName, userAvatar }) {
  const data = JSON.stringify({
    cmd: 'CustomTextMsg',
    data: { nickName: userName, headPic: userAvatar, userName, userAvatar },
  });
  return [
    { MsgType: 'TIMCustomElem', MsgContent: { Data: data, Desc: '', Ext: '' } },
    { MsgType: 'TIMTextElem', MsgContent: { Text: text } },
  ];
}

/** A command to a room. */
export function commandBody(cmd, msg, { userName, userAvatar }) {
  return custom({
    cmd: 'CustomCmdMsg',
    data: { nickName: userName, headPic: userAvatar, userName, userAvatar, cmd, msg },
  });
}

/** A command to one user. */
export function directBody(cmd, msg, { userName, userAvatar }) {
  return custom({ cmd, data: { userName, userAvatar, msg } });
}

/** A step of co-anchoring. */
export function linkBody(data) {
  return custom({ cmd: 'linkmic', data: { timestamp: Date.now(), ...data } });
}

function custom(value) {
  return [{ MsgType: 'TIMCustomElem', MsgContent: { Data: JSON.stringify(value), Desc: '', Ext: '' } }];
}

/** `{ text, custom }` of a body, whoever sent it. */
export function readBody(body) {
  let text;
  let command;
  for (const { MsgType, MsgContent } of Array.isArray(body) ? body : []) {
    if (MsgType === 'TIMTextElem') text = (text ?? '') + String(MsgContent?.Text ?? '');
    if (MsgType === 'TIMCustomElem') command ??= parseObject(MsgContent?.Data);
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
