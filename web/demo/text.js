// What the page says, in the browser's language. Chinese where the browser prefers it, else English.

const EN = {
  create: 'Create room', roomName: 'Room name', kind: 'Kind', double_room: 'Call for two', multi_room: 'Group room', live_room: 'Live room',
  double_hint: 'Two people, one to one', multi_hint: 'Up to four people on camera', live_hint: 'You on air, others watch and may join you',
  rooms: 'Rooms', noRooms: 'No rooms yet', noRoomsHint: 'Create the first one; then open this page in a second tab and enter it.',
  enter: 'Enter', watch: 'Watch', yourName: 'Your name', done: 'Done', someonesRoom: '{name}’s room', heading: 'Start a room', lead: 'Pick a kind, give it a name, and share the link.',
  leave: 'Leave', mute: 'Mute microphone', unmute: 'Unmute microphone', camOff: 'Turn camera off', camOn: 'Turn camera on', devices: 'Devices',
  camera: 'Camera', microphone: 'Microphone', speaker: 'Speaker', drawn: 'Drawn picture and tone', you: 'You', chat: 'Chat', people: 'People', streams: 'Streams',
  say: 'Say something', send: 'Send', noChat: 'Nothing said yet', like: 'Like', viewers: '{n} watching', inRoom: '{n} in the room',
  ask: 'Ask to join', asked: 'Waiting for the anchor…', accept: 'Accept', reject: 'Decline', wants: '{name} would like to join you', kick: 'Take off air',
  accepted: 'You are on air', rejected: 'The anchor declined', timeout: 'The anchor did not answer', kicked: 'The anchor ended your part', leaveStage: 'Stop joining',
  joined: '{name} is here', left: '{name} left', closed: 'The room was closed', closedKicked: 'You were put out of the room', back: 'Back to all rooms',
  connecting: 'Connecting…', reconnecting: 'Connection lost, trying again…', online: 'Connected', waitingFor: 'Waiting for {name}’s picture…', noPicture: 'no picture',
  copy: 'Copy', copied: 'Copied', link: 'Link to this room', pushTitle: 'Push with OBS', pushHint: 'In OBS: Settings → Stream → Custom. It replaces your camera in this room.',
  server: 'Server', key: 'Stream key', useObs: 'Use OBS instead of this camera', useCam: 'Use this camera again', obsOn: 'Waiting for OBS to push…', playTitle: 'Play elsewhere', playHint: 'For VLC, ffplay and players of your own',
  noCamera: 'No camera or microphone: a drawn picture and a tone stand in for them.', denied: 'The camera was not allowed: a drawn picture stands in for it.', anchor: 'anchor', unmutePage: 'Tap to hear the room', alone: 'You are alone here. Share the link, or open this page in another tab.',
  productionTitle: 'This server signs for nobody', production: 'It runs in production: your app’s backend makes the user signature, and your page hands it to the SDK. To try it here, paste one (roomservice usersig --user NAME):', userID: 'User', userSig: 'Signature (userSig)', sdkAppID: 'sdkAppID', login: 'Log in',
  failed: 'That did not work: {why}', unreachable: 'The server cannot be reached. Trying again…', muted: 'An operator has muted you', notice: 'Notice: {text}', audience: 'Audience', retry: 'Try again', noAudioOut: 'The browser chooses',
  code_3: 'the room is not there any more', code_5001: 'the room is full', code_10: 'the name is too long', code_network: 'the server cannot be reached', code_muted: 'you are muted', code_too_fast: 'too fast', code_banned: 'you are banned from this room',
};

const ZH = {
  create: '创建房间', roomName: '房间名称', kind: '类型', double_room: '双人通话', multi_room: '多人房间', live_room: '直播间',
  double_hint: '两个人，一对一', multi_hint: '最多四人同时视频', live_hint: '你来直播，观众观看并可申请连麦',
  rooms: '房间列表', noRooms: '还没有房间', noRoomsHint: '创建第一个房间，然后在另一个标签页打开本页进入它。',
  enter: '进入', watch: '观看', yourName: '你的昵称', done: '完成', someonesRoom: '{name}的房间', heading: '开一个房间', lead: '选择类型，取个名字，把链接分享出去。',
  leave: '离开', mute: '静音', unmute: '取消静音', camOff: '关闭摄像头', camOn: '打开摄像头', devices: '设备',
  camera: '摄像头', microphone: '麦克风', speaker: '扬声器', drawn: '绘制的画面和声音', you: '我', chat: '聊天', people: '成员', streams: '推流与播放',
  say: '说点什么', send: '发送', noChat: '还没有消息', like: '点赞', viewers: '{n} 人观看', inRoom: '{n} 人在房间',
  ask: '申请连麦', asked: '等待主播应答…', accept: '同意', reject: '拒绝', wants: '{name} 申请与你连麦', kick: '结束其连麦',
  accepted: '你已连麦', rejected: '主播拒绝了连麦', timeout: '主播没有应答', kicked: '主播结束了你的连麦', leaveStage: '结束连麦',
  joined: '{name} 进来了', left: '{name} 离开了', closed: '房间已关闭', closedKicked: '你已被移出房间', back: '返回房间列表',
  connecting: '正在连接…', reconnecting: '连接中断，正在重试…', online: '已连接', waitingFor: '等待 {name} 的画面…', noPicture: '没有画面',
  copy: '复制', copied: '已复制', link: '房间链接', pushTitle: '用 OBS 推流', pushHint: 'OBS 中：设置 → 直播 → 自定义。它将代替你在本房间的摄像头。',
  server: '服务器', key: '推流码', useObs: '改用 OBS 推流', useCam: '改回本机摄像头', obsOn: '等待 OBS 推流…', playTitle: '在别处播放', playHint: '可用 VLC、ffplay 或你自己的播放器',
  noCamera: '没有摄像头或麦克风：以绘制的画面和声音代替。', denied: '未获得摄像头权限：以绘制的画面代替。', anchor: '主播', unmutePage: '点击播放声音', alone: '只有你在这里。分享链接，或在另一个标签页打开本页。',
  productionTitle: '本服务器不代签', production: '服务器处于生产模式：由你的应用后台生成用户签名，页面再交给 SDK。要在此试用，请粘贴一个（roomservice usersig --user NAME）：', userID: '用户', userSig: '签名 (userSig)', sdkAppID: 'sdkAppID', login: '登录',
  failed: '操作失败：{why}', unreachable: '无法连接服务器，正在重试…', muted: '你已被禁言', notice: '公告：{text}', audience: '观众', retry: '重试', noAudioOut: '由浏览器选择',
  code_3: '房间已不存在', code_5001: '房间已满', code_10: '名称太长', code_network: '无法连接服务器', code_muted: '你已被禁言', code_too_fast: '操作太快', code_banned: '你已被禁止进入',
};

export const language = (navigator.languages ?? [navigator.language]).find((l) => /^(zh|en)/i.test(l))?.startsWith('zh') ? 'zh' : 'en';
const TEXT = language === 'zh' ? { ...EN, ...ZH } : EN;

export function t(key, values = {}) {
  return (TEXT[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/** An error for people. */
export function why(error) {
  return t('failed', { why: TEXT[`code_${error?.code}`] ?? error?.message ?? String(error) });
}
