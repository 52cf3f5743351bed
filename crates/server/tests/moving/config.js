/**
 * 服务端配置。本文件里的账号与密钥只用于测试。
 */
const CONF = {
  port: '5757',

  /**
   * 需要开通云直播服务
   * 参考指引 @https://cloud.tencent.com/document/product/454/7953#1
   */
  live: {
    // 云直播 appID 和 APIKey 用于查询流状态与混流: { 'appID': 0 }
    appID: 1252463788,
    APIKey: '5d41402abc4b2a76b9719d911017c592',

    // 云直播 bizid
    bizid: 8525,

    // 云直播 推流防盗链key
    pushSecretKey: 'b63e54ac9a2ac4c3a5c3e6c37c9a1bb5',

    // 云直播 推流有效期单位秒 默认7天
    validTime: 3600 * 24 * 7,

    // 云直播 播放域名
    playHost: '8525.liveplay.myqcloud.com'
  },

  /**
   * 需要开通云通信服务
   */
  im: {
    // 云通信 sdkappid
    sdkAppID: 1400042982,

    // 云通信 账号集成类型
    accountType: "17802",

    // 云通信 管理员账号
    administrator: "administrator",

    // 云通信 派发usersig的 私钥
    privateKey:
      "-----BEGIN PRIVATE KEY-----\r\n" +
      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggqqfdzsxmEDT3DTA\r\n" +
      "stxQVQIs9Rrr3rGOuS1Pgtgk6BChRANCAAQaLl7iMtxA2LIFMTuwhKIW8igSeaJC\r\n" +
      "PIef9cTYyEU5G4zdwYcyzB4NkQqq0HA3QSz0VLLTT3Ru5pSg1adAd/pf\r\n" +
      "-----END PRIVATE KEY-----\r\n"
  },

  /**
   * 多人音视频房间相关参数
   */
  multi_room: {
    // 房间容量上限
    maxMembers: 4,

    // 心跳超时 单位秒
    heartBeatTimeout: 20,

    // 空闲房间超时 房间创建后一直没有人进入，超过给定时间将会被后台回收，单位秒
    maxIdleDuration: 30
  },

  /**
   * 双人音视频房间相关参数
   */
  double_room: {
    heartBeatTimeout: 20,
    maxIdleDuration: 30,
    creatorCanDestroyRoom: false
  },

  /**
   * 直播连麦房间相关参数
   */
  live_room: {
    maxMembers: 4,
    heartBeatTimeout: 15,
    maxIdleDuration: 30,
    // 最大观众列表长度
    maxAudiencesLen: 30
  },

  /**
   * 辅助功能 后台日志文件获取相关 当前后台服务的访问域名
   */
  selfHost: "https://www.yourcomp.com"
}

module.exports = CONF;
